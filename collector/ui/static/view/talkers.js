// Top talkers: what the finished flows of the range add up to, by key.

import { byId, el, keyed, mark, write } from '../dom.js';
import { exact, percent, withUnit } from '../figures.js';
import { protocol } from '../names.js';

export const ROWS = 10;
export const MEASURES = ['octets', 'packets', 'flows'];

const ADDRESS = (field) => (row) => row[field];
// value: [word, fields of the API, head of the column, text of a row, filter of a row]
export const KEYS = {
  src: { words: 'Source', by: 'src', text: ADDRESS('source_ip_address'), filter: (row) => `src=${row.source_ip_address}` },
  dst: { words: 'Destination', by: 'dst', text: ADDRESS('destination_ip_address'), filter: (row) => `dst=${row.destination_ip_address}` },
  conversation: {
    words: 'Conversation', by: 'src,dst', text: (row) => `${row.source_ip_address} → ${row.destination_ip_address}`,
    filter: (row) => `src=${row.source_ip_address} dst=${row.destination_ip_address}`,
  },
  proto: { words: 'Protocol', by: 'proto', text: (row) => protocol(row.protocol_identifier), filter: (row) => `proto=${row.protocol_identifier}` },
  dport: {
    words: 'Port', by: 'proto,dport', text: (row) => `${protocol(row.protocol_identifier)} ${row.destination_transport_port}`,
    filter: (row) => `proto=${row.protocol_identifier} dport=${row.destination_transport_port}`,
  },
};

export function draw(answer, key, measure, picked) {
  const { words, text, filter } = KEYS[key];
  write(byId('talkers-key'), words);
  const body = byId('talkers-rows');
  keyed(body, answer.rows, filter, () => createRow(picked), (node, row) => {
    node.filterWords = filter(row);
    write(node.button, text(row), `show the last flows: ${node.filterWords}`);
    drawFigures(node, row, answer.total, measure);
  });
  drawFill(body, ROWS - answer.rows.length);
  drawTotal(answer, measure);
}

function createRow(picked) {
  const node = el('tr');
  node.button = el('button', { type: 'button', class: 'link', click: () => picked(node.filterWords) });
  node.append(el('th', { scope: 'row' }, node.button), el('td', { class: 'share' }, el('span', { class: 'bar-track' }, el('span', { class: 'bar-fill' }))),
    ...MEASURES.map(() => el('td', { class: 'number' })));
  return node;
}

function drawFigures(node, row, total, measure) {
  const share = percent(row[measure], total[measure]);
  const cells = node.querySelectorAll('td');
  cells[0].title = `${share.toFixed(1)} % of all ${measure}`;
  cells[0].firstElementChild.firstElementChild.style.width = `${Math.min(share, 100)}%`;
  MEASURES.forEach((name, i) => {
    mark(cells[i + 1], 'data-chosen', name === measure ? 'true' : null);
    write(cells[i + 1], withUnit(row[name], name === 'octets' ? 'B' : ''), `${exact(row[name])} ${name}`);
  });
}

// Rows that are not there keep their place, so that nothing below moves when they come.
function drawFill(body, missing) {
  const fill = body.parentElement.fill ??= body.parentElement.insertBefore(el('tbody', { class: 'fill', 'aria-hidden': 'true' }), body.nextSibling);
  while (fill.childElementCount > missing) fill.lastElementChild.remove();
  while (fill.childElementCount < missing) fill.append(el('tr', {}, el('td', { colspan: '5' }, '\u00a0')));
}

function drawTotal({ others, total }, measure) {
  const foot = byId('talkers-total');
  if (!foot.childElementCount) {
    for (const words of ['others', 'all']) {
      foot.append(el('tr', {}, el('th', { scope: 'row' }, words), el('td', { class: 'share' }, el('span', { class: 'bar-track' }, el('span', { class: 'bar-fill' }))),
        ...MEASURES.map(() => el('td', { class: 'number' }))));
    }
  }
  drawFigures(foot.children[0], others, total, measure);
  drawFigures(foot.children[1], total, total, measure);
}
