// The ledger: the counts of the hops from left to right, what left the way under each, and the residual.

import { byId, el, keyed, mark, write } from '../dom.js';
import { ago, count, exact, percent } from '../figures.js';
import { choose, setting } from '../settings.js';
import { counts, entries, HOPS } from './hops.js';

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

const nameOf = (epoch) => epoch.exporter ?? 'not heard yet';

function drawChoice(epochs) {
  if (setting('books') !== '' && !epochs.some((epoch) => epoch.epoch === setting('books'))) choose('books', '');
  const all = { value: '', words: epochs.length === 1 ? 'the only run' : `all ${epochs.length} runs` };
  const each = epochs.map((epoch) => ({ value: epoch.epoch, words: `${nameOf(epoch)} · ${epoch.epoch.slice(0, 8)} · ${epoch.state}` }));
  const select = byId('ledger-epoch');
  keyed(select, [all, ...each], ({ value }) => value, ({ value }) => el('option', { value }), (node, { words }) => write(node, words));
  select.value = setting('books');
}

function drawHops(ledger, epochs) {
  const all = counts(epochs), off = entries(ledger, epochs);
  const broken = new Set(epochs.flatMap((epoch) => epoch.identities).filter((identity) => !identity.holds).map((identity) => identity.hop));
  const hops = HOPS.map((hop, i) => ({ ...hop, count: all[i], entries: off.filter((entry) => entry.hop === i), seen: all[1]?.packets ?? 0,
    broken: hop.hops.some((name) => broken.has(name)) }));
  keyed(byId('hops'), hops, (hop) => hop.name, createHop, drawHop);
}

const createHop = ({ term }) => el('li', {}, el('h3', {}, el('span'), el('span', { class: 'hop-term' }, term)), el('p', { class: 'hop-count' }), el('p', { class: 'hop-octets' }),
  el('span', { class: 'bar-track' }, el('span', { class: 'bar-fill' })), el('ul'));

function drawHop(node, hop) {
  const [head, number, octets, bar, list] = node.children;
  mark(node, 'data-state', hop.broken ? 'residual' : null);
  write(head.firstElementChild, hop.name, hop.title);
  write(number, hop.count ? count(hop.count.packets) : '–', hop.count ? `${exact(hop.count.packets)} packets` : '');
  write(octets, hop.count ? `${count(hop.count.octets)} octets` : 'not said', hop.count ? `${exact(hop.count.octets)} octets of frames` : 'no such counter here');
  bar.firstElementChild.style.width = hop.count ? `${Math.min(percent(hop.count.packets, hop.seen), 100)}%` : '0';
  keyed(list, hop.entries, (entry) => `${entry.kind} ${entry.reason} ${entry.title}`, () => el('li', {}, el('span', { class: 'entry-count' }), ' ', el('span')), (item, entry) => {
    mark(item, 'data-kind', entry.kind);
    write(item.firstElementChild, count(entry.count), exact(entry.count));
    write(item.lastElementChild, entry.reason.replaceAll('_', ' ').replace('.', ': '), entry.title);
  });
}

// Packets, records and batches first; where all of them agree, octets may still differ.
const sizeOf = ({ packets, octets }) => (packets > 0 ? packets : octets);
const titleOf = ({ packets, octets }) => `${exact(packets)} packets, records or batches and ${exact(octets)} octets that no term explains`;

function drawResidual(ledger, epochs) {
  const node = byId('residual');
  const one = setting('books') === '' ? ledger : epochs[0];
  const state = epochs.length === 0 ? 'unknown' : sizeOf(one.residual) == 0 ? 'zero' : 'residual';
  mark(node, 'data-state', state);
  write(node.children[0], state === 'unknown' ? '–' : count(sizeOf(one.residual)), state === 'unknown' ? '' : titleOf(one.residual));
  write(node.children[1], one?.residual.packets == 0 && one.residual.octets > 0 ? 'residual octets' : 'residual');
  write(byId('residual-note'), state === 'unknown' ? 'no books yet' : noteOf(ledger, epochs));
}

function noteOf(ledger, epochs) {
  const broken = [...new Set(epochs.flatMap((epoch) => epoch.identities).filter((identity) => !identity.holds).map((identity) => identity.hop))];
  if (broken.length > 0) return `at ${broken.join(', ')}`;
  if (sizeOf(ledger.residual) > 0) return `at ${ledger.hops.join(', ')}`;
  const open = epochs.filter((epoch) => epoch.state !== 'closed');
  if (open.length === 0) return ledger.verdict === 'open' ? 'closed by the probe; the bus is not read to its end' : `all books closed, to the packet; ${rowsOf(ledger)}`;
  const silent = open.find((epoch) => epoch.state === 'silent');
  return silent ? `${nameOf(silent)} is silent, last heard ${ago(silent.last_heard_nanoseconds)}` : 'still running; exact once it ends';
}

// The stored rows are counted again and again: until then the books stand on what the batches said.
const rowsOf = ({ rows_counted_nanoseconds: at }) => (at ? `rows counted ${ago(at)}` : 'rows not counted yet');

function drawIdentities(epochs) {
  const rows = epochs.flatMap((epoch) => epoch.identities.map((identity) => ({ ...identity, epoch })));
  write(byId('identities-count'), `${rows.filter((row) => row.holds).length} of ${rows.length} hold`);
  keyed(byId('identities'), rows, (row) => [row.epoch.epoch, row.hop, row.name, row.scope, row.unit].join('/'), createIdentity, drawIdentity);
}

const createIdentity = () => el('tr', {}, el('th', { scope: 'row' }), el('td'), el('td', { class: 'identity' }), el('td', { class: 'number' }), el('td', { class: 'number' }), el('td'));

function drawIdentity(node, row) {
  mark(node, 'data-state', row.holds ? null : 'residual');
  const allowed = row.least == row.most ? exact(row.most) : `${exact(row.least)} … ${exact(row.most)}`;
  const words = [row.hop, row.scope, row.equation, exact(row.left_over), allowed, row.holds ? 'yes' : 'no'];
  words.forEach((text, i) => write(node.children[i], text));
  node.children[0].title = `${nameOf(row.epoch)}, epoch ${row.epoch.epoch}`;
  node.children[3].title = `${exact(row.left_over)} and ${exact(row.left_over_octets)} octets`;
}

function drawVerdict(ledger) {
  const node = byId('verdict');
  const empty = ledger.epochs.length === 0;
  const lost = Object.entries(ledger.lost).filter(([, value]) => value > 0);
  mark(node, 'data-state', empty ? 'unknown' : sizeOf(ledger.residual) == 0 ? 'zero' : 'residual');
  write(node.children[0], empty ? '–' : count(sizeOf(ledger.residual)), empty ? '' : titleOf(ledger.residual));
  write(node.children[1], empty ? 'residual' : VERDICTS[ledger.verdict] ?? ledger.verdict);
  write(node.children[2], lost.map(([unit, value]) => `${count(value)} ${unit.replace('_', ' ')} lost`).join(', '), lost.map(([unit, value]) => `${exact(value)} ${unit}`).join(', '));
}
