// Traffic now: the differences between the probes' once-a-second counters, laid on whole seconds.

import { byId, el, keyed, mark, write } from '../dom.js';
import { sum } from '../exact.js';
import { clock, count, exact, seconds, si, whenText, withUnit } from '../figures.js';
import { ink, Plot, seriesInk } from '../plot.js';

const WINDOW_SECONDS = 120;
const PLOT_HEIGHT = 168;
// A single lost packet must be seen from across the room, whatever the scale.
const LOST_MARK_PIXELS = 7;

let shown = null;
const plots = {
  bits: new Plot(byId('plot-bits'), { height: PLOT_HEIGHT, axis: (value) => withUnit(value, 'bit/s'), read, paint: (u) => paintLost(u, false) }),
  packets: new Plot(byId('plot-packets'), { height: PLOT_HEIGHT, axis: (value) => withUnit(value), read, paint: (u) => paintLost(u, true) }),
};

export function draw(answer) {
  const last = lastSecond(answer);
  const times = Array.from({ length: WINDOW_SECONDS }, (_, i) => last - WINDOW_SECONDS + 1 + i);
  const probes = speaking(answer.probes, times[0]).map((probe, i) => ({ probe, ink: seriesInk(i), ...rates(probe, times) }));
  shown = { times, probes, lost: times.map((_, i) => sum(probes.map(({ lost }) => lost[i]))) };
  const range = [times[0], last];
  plots.bits.show(times, probes.map((one) => ({ ink: one.ink, values: one.bits })), range);
  plots.packets.show(times, probes.map((one) => ({ ink: one.ink, values: one.packets })), range);
  drawNumbers(answer);
  drawKeys();
}

// Up to which whole second every open probe has spoken; the collector's clock where none is open.
function lastSecond({ probes, time_nanoseconds }) {
  const open = probes.filter((probe) => probe.state === 'open' && probe.seconds.length > 0);
  const ends = open.map((probe) => seconds(probe.seconds.at(-1).time_nanoseconds));
  return Math.floor(ends.length > 0 ? Math.min(...ends) : seconds(time_nanoseconds));
}

const speaking = (probes, first) => probes.filter(({ seconds: all }) => all.length > 0 && seconds(all.at(-1).time_nanoseconds) >= first);

// Each entry covers (time - interval, time]. A whole second takes the rate of the entry that covers it, so that jitter of
// the messages leaves no hole; a loss goes to exactly one second, so that it is drawn once.
function rates(probe, times) {
  const none = () => times.map(() => null);
  const result = { bits: none(), packets: none(), lost: times.map(() => 0), newest: probe.seconds.at(-1) };
  for (const entry of probe.seconds) {
    const end = seconds(entry.time_nanoseconds), interval = seconds(entry.interval_nanoseconds);
    if (!(interval > 0)) continue;
    const first = Math.floor(end - interval) + 1;
    for (let i = Math.max(0, first - times[0]); i < times.length && times[i] <= end; i += 1) {
      result.bits[i] = (8 * Number(entry.seen_octets)) / interval;
      result.packets[i] = Number(entry.seen_packets) / interval;
    }
    const at = Math.min(Math.ceil(end), times.at(-1)) - times[0];
    if (at >= 0) result.lost[at] = sum([result.lost[at], entry.lost_packets]);
  }
  return result;
}

function drawNumbers(answer) {
  const last = shown.times.length - 1;
  const current = shown.probes.filter(({ probe }) => probe.state === 'open');
  const silent = current.every(({ bits }) => bits[last] === null);
  for (const [name, unit] of [['bits', 'bit/s'], ['packets', 'packets/s']]) {
    const value = current.reduce((total, one) => total + (one[name][last] ?? 0), 0);
    const { number, prefix } = si(name === 'packets' && value < 1000 ? Math.round(value) : value);
    write(byId(`now-${name}`), silent ? '–' : number, silent ? '' : `${exact(Math.round(value))} ${unit}`);
    write(byId(`now-${name}-unit`), silent ? unit : name === 'bits' ? prefix + unit : `${prefix} ${unit}`.trim());
  }
  drawLost(silent);
  write(byId('now-note'), note(answer.probes, silent));
}

function drawLost(silent) {
  const total = sum(shown.lost), newest = shown.lost.at(-1);
  const node = byId('now-lost');
  mark(node, 'data-state', total > 0 ? 'lost' : silent ? 'none' : 'fine');
  write(node, total > 0 ? `lost ${count(total)} in 2 min${newest > 0 ? `, ${count(newest)} now` : ''}` : silent ? '' : 'none lost',
    `${exact(total)} packets dropped by device, ring or probe in the last two minutes`);
}

function note(probes, silent) {
  if (!silent) return 'the probes’ own counters, once a second, last two minutes';
  const heard = probes.map((probe) => probe.last_heard_nanoseconds).filter((time) => time !== null);
  const newest = heard.reduce((a, b) => (a > b ? a : b), 0);
  return newest ? `no probe is sending; last heard ${whenText(newest)}` : 'no probe is sending';
}

function drawKeys() {
  keyed(byId('now-keys'), shown.probes, ({ probe }) => probe.epoch, createKey, (node, { probe, ink: name, newest, lost }) => {
    const interval = seconds(newest.interval_nanoseconds) || 1;
    const live = probe.state === 'open';
    node.firstElementChild.className = `swatch ${name}`;
    write(node.children[1], probe.exporter ?? 'not heard yet', `probe ${probe.probe_id}, epoch ${probe.epoch}`);
    write(node.children[2], live ? `${withUnit((8 * Number(newest.seen_octets)) / interval, 'bit/s')} · ${withUnit(Number(newest.seen_packets) / interval)}/s` : probe.state);
    const total = sum(lost);
    mark(node.children[3], 'data-state', total > 0 ? 'lost' : null);
    write(node.children[3], total > 0 ? `lost ${count(total)}` : '', `${exact(total)} packets lost in the last two minutes`);
  });
}

const createKey = () => el('li', {}, el('span', { class: 'swatch' }), el('span', { class: 'key-name' }), el('span', { class: 'key-value' }), el('span', { class: 'key-lost' }));

function read(index) {
  if (!shown) return null;
  const total = (name) => {
    const known = shown.probes.map((one) => one[name][index]).filter((value) => value !== null);
    return known.length > 0 ? known.reduce((a, b) => a + b) : null;
  };
  const bits = total('bits');
  const time = clock(BigInt(shown.times[index]) * 1_000_000_000n);
  return bits === null ? `${time}  no word` : `${time}  ${withUnit(bits, 'bit/s')}  ${withUnit(total('packets'))} packets/s  lost ${exact(shown.lost[index])}`;
}

// Losses stand in the same plot: a column of the second they were counted in; in the packet plot as high as they are many.
function paintLost(u, toScale) {
  const { ctx, bbox } = u;
  const width = Math.max(bbox.width / WINDOW_SECONDS, 2 * devicePixelRatio);
  ctx.save();
  ctx.fillStyle = ink('loss');
  shown.lost.forEach((lost, i) => {
    if (!(lost > 0)) return;
    const x = u.valToPos(shown.times[i], 'x', true) - width;
    const scaled = toScale ? bbox.top + bbox.height - u.valToPos(Number(lost), 'y', true) : 0;
    const height = Math.min(Math.max(scaled, LOST_MARK_PIXELS * devicePixelRatio), bbox.height);
    ctx.globalAlpha = 0.14;
    ctx.fillRect(x, bbox.top, width, bbox.height);
    ctx.globalAlpha = 1;
    ctx.fillRect(x, bbox.top + bbox.height - height, width, height);
  });
  ctx.restore();
}
