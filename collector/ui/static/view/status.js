// Store, inputs and probes; and what to start when nobody has spoken yet.

import { byId, el, keyed, mark, write } from '../dom.js';
import { ago, count, duration, exact, rfc3339, whenText, withUnit } from '../figures.js';

export function drawHealth(health) {
  const { store, inputs } = health;
  // 0 and null alike: nothing was ever committed.
  const commit = store.last_commit_nanoseconds ? [ago(store.last_commit_nanoseconds), rfc3339(store.last_commit_nanoseconds)] : ['none yet', ''];
  const rows = [['Records', ...(store.rows === null ? ['–', 'the store cannot be read'] : [count(store.rows), exact(store.rows)])], ['Last commit', ...commit], ['File', store.path, store.path]];
  if (store.error) rows.push(['Error', store.error, store.error]);
  keyed(byId('store'), rows, ([name]) => name, ([name]) => el('div', {}, el('dt', {}, name), el('dd')), (node, [, text, title]) => write(node.lastElementChild, text, title));
  keyed(byId('inputs'), inputs, (input) => input.endpoint, () => el('li', {}, el('span', { class: 'dot' }), el('code'), el('span', { class: 'quiet' })), (node, input) => {
    mark(node, 'data-state', input.state);
    write(node.children[1], input.endpoint);
    write(node.children[2], [input.state, input.detail].filter(Boolean).join(': '));
  });
  write(byId('version'), `Gannet collector ${health.version}`);
  drawPills(health);
  drawCommands(inputs);
}

function drawPills({ status, store, inputs }) {
  const pills = [{ name: 'store', state: status === 'ok' ? 'running' : 'failed', words: `store ${status}`, title: store.error ?? `${exact(store.rows)} records` },
    ...inputs.map((input) => ({ name: input.endpoint, state: input.state, words: `${input.endpoint} ${input.state}`, title: input.detail ?? '' }))];
  keyed(byId('pills'), pills, (pill) => pill.name, () => el('li', {}, el('span', { class: 'dot' }), el('span')), (node, pill) => {
    mark(node, 'data-state', pill.state);
    write(node.lastElementChild, pill.words, pill.title);
  });
}

// The very command for the collector's own inputs.
function drawCommands(inputs) {
  const commands = inputs.map((input) => `gannet-probe -i eno1 --ntopng ${input.endpoint}`);
  keyed(byId('commands'), commands, (words) => words, (words) => el('li', {}, el('code', {}, words)), () => {});
}

export function drawProbes({ probes }) {
  byId('empty').hidden = probes.length > 0;
  document.body.classList.toggle('no-data', probes.length === 0);
  keyed(byId('probes'), probes, (probe) => probe.epoch, createProbe, (row, probe) => {
    const cells = row.children;
    write(cells[0], probe.exporter ?? 'not heard yet', `probe ${probe.probe_id}\nepoch ${probe.epoch}`);
    mark(cells[1].firstElementChild, 'data-state', probe.state);
    write(cells[1].firstElementChild.lastElementChild, probe.state, STATE_TITLES[probe.state] ?? '');
    write(cells[2], probe.interfaces.join(', '), probe.interfaces.join('\n'));
    // Flows came, and no ledger message yet: the probe has not introduced itself.
    const known = probe.epoch_start_nanoseconds !== null;
    write(cells[3], known ? whenText(probe.epoch_start_nanoseconds) : '–', known ? rfc3339(probe.epoch_start_nanoseconds) : '');
    write(cells[4], ago(probe.last_heard_nanoseconds), rfc3339(probe.last_heard_nanoseconds) + (known ? `\nactive timeout ${duration(probe.active_timeout_seconds * 1e9)}` : ''));
    write(cells[5], count(probe.stored.records), `${exact(probe.stored.records)} records in ${exact(probe.stored.batches)} batches`);
    write(cells[6], count(probe.stored.packets), exact(probe.stored.packets));
    write(cells[7], withUnit(probe.stored.octets, 'B'), exact(probe.stored.octets));
  });
}

const STATE_TITLES = { open: 'sending', closed: 'its last message came: the books of this run are closed', silent: 'open, and not heard for 30 s' };

const createProbe = () => el('tr', {}, el('th', { scope: 'row' }), el('td', {}, el('span', { class: 'state' }, el('span', { class: 'dot' }), el('span'))),
  el('td', { class: 'clip' }), el('td'), el('td'), el('td', { class: 'number' }), el('td', { class: 'number' }), el('td', { class: 'number' }));
