// Flow traffic over time: finished flows spread over their duration, with the buckets that can still grow marked.

import { byId, el, keyed, write } from '../dom.js';
import { duration, exact, seconds, whenText, withUnit } from '../figures.js';
import { MEASURES, protocol } from '../names.js';
import { hatch, Plot, seriesInk } from '../plot.js';

const PLOT_HEIGHT = 268;
export const LIMIT = 6;

export const KEYS = {
  proto: { words: 'Protocol', by: 'proto', text: (key) => protocol(key.protocol_identifier) },
  src: { words: 'Source', by: 'src', text: (key) => key.source_ip_address },
  dport: { words: 'Port', by: 'proto,dport', text: (key) => `${protocol(key.protocol_identifier)} ${key.destination_transport_port}` },
  none: { words: 'Total', by: '', text: () => 'all flows' },
};

let shown = null;
const plot = new Plot(byId('plot-series'), { height: PLOT_HEIGHT, stepped: true, axis: (value) => withUnit(value, unit()), read, paint });

// Octets are drawn as a rate, which does not change with the width of a bucket; packets and flows as well, per second.
const unit = () => (shown?.measure === 'octets' ? 'bit/s' : '/s');
const rate = (value) => (Number(value) * (shown.measure === 'octets' ? 8 : 1)) / shown.step;

export function draw(answer, key) {
  const step = seconds(answer.step_nanoseconds);
  const series = answer.series.map((one, i) => ({ ...one, name: one.others ? 'others' : KEYS[key].text(one.key), ink: one.others ? 'series-others' : seriesInk(i) }));
  shown = { measure: answer.measure, step, series, buckets: answer.buckets, total: answer.total };
  const starts = answer.buckets.map((bucket) => seconds(bucket.start_nanoseconds));
  byId('series').classList.toggle('nothing-yet', starts.length === 0);
  const times = starts.length > 0 ? [...starts, starts.at(-1) + step] : [Date.now() / 1000 - 3600, Date.now() / 1000];
  const layers = series.map((one) => ({ ink: one.ink, values: closed(one.values.map(rate)) }));
  plot.show(times, layers.length > 0 && starts.length > 0 ? layers : [{ ink: 'series-0', values: times.map(() => null) }], [times[0], times.at(-1)]);
  drawKeys();
  drawNote(answer);
}

// A step needs an end: the last bucket is drawn to its own.
const closed = (values) => [...values, values.at(-1) ?? null];

function drawKeys() {
  keyed(byId('series-keys'), shown.series, (one) => one.name, () => el('li', {}, el('span'), el('span', { class: 'key-name' }), el('span', { class: 'key-value' })),
    (node, one) => {
      node.children[0].className = `swatch ${one.ink}`;
      write(node.children[1], one.name);
      const { word, unit: own } = MEASURES[shown.measure];
      write(node.children[2], withUnit(one.total, own), `${exact(one.total)} ${word}`);
    });
}

function drawNote({ buckets, complete_until_nanoseconds: until }) {
  const open = buckets.filter((bucket) => !bucket.complete).length;
  const step = buckets.length > 0 ? `buckets of ${duration(Math.round(shown.step * 1e9))}` : 'no flow ended in this range';
  write(byId('series-note'), open > 0 && until !== null ? `${step}; hatched: can still grow, complete until ${whenText(until)}` : step);
}

function read(index) {
  const bucket = shown?.buckets[Math.min(index, shown.buckets.length - 1)];
  if (!bucket) return null;
  const at = shown.buckets.indexOf(bucket);
  const largest = [...shown.series].sort((a, b) => Number(b.values[at]) - Number(a.values[at])).filter((one) => one.values[at] > 0).slice(0, 3);
  const words = largest.map((one) => `${one.name} ${withUnit(rate(one.values[at]), unit())}`).join('  ');
  return `${whenText(bucket.start_nanoseconds)}  ${words || 'nothing'}${bucket.complete ? '' : '  (can still grow)'}`;
}

// Neighbouring buckets that can still grow are one stretch, so that the hatching runs through.
function openStretches() {
  const stretches = [];
  for (const bucket of shown?.buckets ?? []) {
    if (bucket.complete) continue;
    const start = seconds(bucket.start_nanoseconds);
    if (stretches.at(-1)?.[1] === start) stretches.at(-1)[1] = start + shown.step;
    else stretches.push([start, start + shown.step]);
  }
  return stretches;
}

function paint(u) {
  for (const [from, to] of openStretches()) hatch(u, from, to);
}
