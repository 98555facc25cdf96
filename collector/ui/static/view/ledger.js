// The ledger: the counts of the hops from left to right, what left the way under each, and the residual.

import { byId, el, keyed, mark, write } from '../dom.js';
import { ago, count, exact, percent } from '../figures.js';
import { choose, setting } from '../settings.js';
import { atTheStore, counts, HOPS, reasons, underWay } from './hops.js';

const VERDICTS = { balanced: 'residual, books closed', open: 'residual, still running', residual: 'residual' };

let last = null;

export function start() {
  byId('ledger-epoch').addEventListener('change', (event) => {
    choose('books', event.target.value);
    if (last) draw(last);
  });
}

export function draw(ledger) {
  last = ledger;
  drawChoice(ledger.epochs);
  const chosen = ledger.epochs.filter((epoch) => setting('books') === '' || epoch.epoch === setting('books'));
  drawHops(ledger, chosen);
  drawResidual(ledger, chosen);
  drawIdentities(chosen);
  drawVerdict(ledger);
}

function drawChoice(epochs) {
  if (setting('books') !== '' && !epochs.some((epoch) => epoch.epoch === setting('books'))) choose('books', '');
  const options = [{ value: '', words: `all ${epochs.length} epochs` }, ...epochs.map((epoch) => ({ value: epoch.epoch, words: `${epoch.exporter} · ${epoch.epoch.slice(0, 8)} · ${epoch.state}` }))];
  const select = byId('ledger-epoch');
  keyed(select, options, ({ value }) => value, ({ value }) => el('option', { value }), (node, { words }) => write(node, words));
  select.value = setting('books');
}

function drawHops(ledger, epochs) {
  const all = counts(epochs);
  const entries = [...reasons(epochs), ...underWay(epochs), ...atTheStore(ledger, epochs)];
  const broken = new Set(epochs.flatMap((epoch) => epoch.identities).filter((identity) => !identity.holds).map((identity) => identity.hop));
  const seen = all[1]?.packets ?? 0;
  const hops = HOPS.map((hop, i) => ({ ...hop, count: all[i], entries: entries.filter((entry) => entry.hop === i), seen, broken: hop.hops.some((name) => broken.has(name)) }));
  keyed(byId('hops'), hops, (hop) => hop.name, createHop, drawHop);
}

const createHop = ({ name, title }) => el('li', { title }, el('h3', {}, name), el('p', { class: 'hop-count' }), el('p', { class: 'hop-octets' }),
  el('span', { class: 'bar-track' }, el('span', { class: 'bar-fill' })), el('ul'));

function drawHop(node, hop) {
  const [, number, octets, bar, list] = node.children;
  mark(node, 'data-state', hop.broken ? 'residual' : null);
  write(number, hop.count ? count(hop.count.packets) : '–', hop.count ? `${exact(hop.count.packets)} packets` : '');
  write(octets, hop.count ? `${count(hop.count.octets)} octets` : 'not said', hop.count ? `${exact(hop.count.octets)} octets of frames` : 'the device shows no such counter');
  bar.firstElementChild.style.width = hop.count ? `${Math.min(percent(hop.count.packets, hop.seen), 100)}%` : '0';
  keyed(list, hop.entries, (entry) => entry.reason, () => el('li', {}, el('span', { class: 'entry-count' }), ' ', el('span')), (item, entry) => {
    mark(item, 'data-kind', entry.kind);
    write(item.firstElementChild, count(entry.packets), entry.title ?? exact(entry.packets));
    write(item.lastElementChild, entry.reason.replaceAll('_', ' ').replace('.', ': '), entry.reason);
  });
}

function drawResidual(ledger, epochs) {
  const one = setting('books') === '' ? ledger : epochs[0];
  const node = byId('residual');
  const state = one === undefined || epochs.length === 0 ? 'unknown' : one.residual == 0 ? 'zero' : 'residual';
  mark(node, 'data-state', state);
  write(node.firstElementChild, state === 'unknown' ? '–' : count(one.residual), state === 'unknown' ? '' : exact(one.residual));
  write(byId('residual-note'), state === 'unknown' ? 'no books yet' : noteOf(ledger, epochs));
}

function noteOf(ledger, epochs) {
  if (ledger.residual != 0) return `at ${ledger.hops.join(', ')}`;
  const open = epochs.filter((epoch) => epoch.state !== 'closed');
  if (open.length === 0) return 'all books closed, to the packet';
  const silent = open.filter((epoch) => epoch.state === 'silent');
  return silent.length > 0 ? `silent: ${silent[0].exporter}, ${ago(silent[0].last_heard_nanoseconds)}` : 'still running: exact at its end';
}

function drawIdentities(epochs) {
  const rows = epochs.flatMap((epoch) => epoch.identities.map((identity) => ({ ...identity, epoch })));
  const holding = rows.filter((row) => row.holds).length;
  write(byId('identities-count'), `${holding} of ${rows.length} hold`);
  keyed(byId('identities'), rows, (row) => `${row.epoch.epoch}/${row.hop}/${row.name}/${row.subject}`, () => el('tr', {}, el('th', { scope: 'row' }), el('td', { class: 'identity' }), el('td'),
    el('td', { class: 'number' }), el('td', { class: 'number' }), el('td'), el('td')), (node, row) => {
    mark(node, 'data-state', row.holds ? null : 'residual');
    const words = [row.hop, row.name, row.subject, exact(row.left_over), exact(row.in_flight), row.unit, row.holds ? 'yes' : 'no'];
    words.forEach((text, i) => write(node.children[i], text));
    node.children[2].title = `${row.epoch.exporter}, epoch ${row.epoch.epoch}`;
  });
}

function drawVerdict(ledger) {
  const node = byId('verdict');
  const empty = ledger.epochs.length === 0;
  const lost = Object.entries(ledger.lost).filter(([, value]) => value > 0);
  mark(node, 'data-state', empty ? 'unknown' : ledger.residual == 0 ? 'zero' : 'residual');
  write(node.children[0], empty ? '–' : count(ledger.residual), empty ? '' : `${exact(ledger.residual)} packets or records that no term explains`);
  write(node.children[1], empty ? 'residual' : VERDICTS[ledger.verdict] ?? ledger.verdict);
  write(node.children[2], lost.map(([unit, value]) => `${count(value)} ${unit} lost`).join(', '), lost.map(([unit, value]) => `${exact(value)} ${unit}`).join(', '));
}
