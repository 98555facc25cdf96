// The last flows: one row a record, exact values in the titles.

import { byId, el, mark, write } from '../dom.js';
import { count, duration, exact, rfc3339, when, ZONE } from '../figures.js';
import { endReason, endReasonTitle, flagLetters, flagNames, hasPorts, isIcmp, protocol } from '../names.js';

export const ROWS = 100;
const EMPTY = ['', ''];

// [class, head, title of the head, row -> [text, title]]
const COLUMNS = [
  ['time', `Ended, ${ZONE}`, 'when the last packet was seen', (flow) => [timeText(flow.flow_end_nanoseconds), `from ${rfc3339(flow.flow_start_nanoseconds)}\nto ${rfc3339(flow.flow_end_nanoseconds)}`]],
  ['duration number', 'Lasted', 'last packet less first packet', (flow) => lasted(flow)],
  ['source address', 'Source', 'sender of the SYN, else of the first packet', (flow) => [flow.source_ip_address, flow.source_ip_address]],
  ['sport number', 'Port', 'source port', (flow) => port(flow, flow.source_transport_port, false)],
  ['destination address', 'Destination', '', (flow) => [flow.destination_ip_address, flow.destination_ip_address]],
  ['dport number', 'Port', 'destination port; type/code of ICMP', (flow) => port(flow, flow.destination_transport_port, true)],
  ['proto', 'Proto', '', (flow) => [protocol(flow.protocol_identifier), `protocol ${flow.protocol_identifier}`]],
  ['packets number', 'Packets →', 'from source to destination', (flow) => amount(flow.packet_delta_count, 'packets')],
  ['rpackets number', '←', 'packets from destination to source', (flow) => amount(flow.reverse_packet_delta_count, 'packets back')],
  ['octets number', 'Octets →', 'IP octets from source to destination', (flow) => octets(flow, '', '→')],
  ['roctets number', '←', 'IP octets from destination to source', (flow) => octets(flow, 'reverse_', '←')],
  ['flags', 'Flags →', 'TCP flags from source to destination', (flow) => flags(flow, flow.tcp_control_bits)],
  ['rflags', '←', 'TCP flags from destination to source', (flow) => flags(flow, flow.reverse_tcp_control_bits)],
  ['reason', 'End', 'why the record was made', (flow) => [endReason(flow.flow_end_reason), endReasonTitle(flow.flow_end_reason)]],
  ['vlan number', 'VLAN', 'outer tag, and the inner one of QinQ', (flow) => vlan(flow)],
];

const timeText = (nanoseconds) => {
  const { day, time } = when(nanoseconds, { milliseconds: true });
  return day ? `${day} ${time}` : time;
};

function lasted(flow) {
  const value = BigInt(flow.flow_end_nanoseconds) - BigInt(flow.flow_start_nanoseconds);
  return [duration(value), `${exact(value)} ns`];
}

function port(flow, value, isDestination) {
  if (isIcmp(flow.protocol_identifier)) return isDestination && flow.icmp_type !== null ? [`${flow.icmp_type}/${flow.icmp_code}`, `ICMP type ${flow.icmp_type}, code ${flow.icmp_code}`] : EMPTY;
  return hasPorts(flow.protocol_identifier) ? [String(value), ''] : EMPTY;
}

const amount = (value, words) => [count(value), `${exact(value)} ${words}`];

const octets = (flow, direction, arrow) => [count(flow[`${direction}octet_delta_count`]),
  `${exact(flow[`${direction}octet_delta_count`])} IP octets ${arrow}, ${exact(flow[`${direction}layer2_octet_delta_count`])} with frames`];

const flags = (flow, bits) => (flow.tcp_control_bits === null ? EMPTY : [flagLetters(bits), flagNames(bits)]);

function vlan({ vlan_id: outer, customer_vlan_id: inner }) {
  if (outer === null) return EMPTY;
  return inner === null ? [String(outer), ''] : [`${outer}.${inner}`, `outer ${outer}, inner ${inner}`];
}

export function draw({ flows, truncated }) {
  drawHead();
  const body = byId('flows-rows');
  while (body.childElementCount > flows.length) body.lastElementChild.remove();
  while (body.childElementCount < flows.length) body.append(createRow());
  body.parentElement.classList.toggle('dated', flows.some((flow) => when(flow.flow_end_nanoseconds).day));
  flows.forEach((flow, i) => drawRow(body.children[i], flow));
  byId('flows-nothing').hidden = flows.length > 0;
  write(byId('flows-nothing'), byId('filter-words').value ? 'No stored flow matches the filter.' : 'No flow has ended yet. A flow is stored when it ends, or when it reaches the active timeout.');
  write(byId('filter-help'), truncated ? `the latest ${flows.length}` : `${flows.length} in all`);
}

function drawHead() {
  const head = byId('flows-head');
  if (head.childElementCount) return;
  head.append(el('tr', {}, ...COLUMNS.map(([name, words, title]) => el('th', { scope: 'col', class: name, title }, words))));
}

const createRow = () => el('tr', {}, ...COLUMNS.map(([name]) => el('td', { class: name })));

function drawRow(row, flow) {
  mark(row, 'data-record', `${flow.probe_id}/${flow.epoch}/${flow.stream}/${flow.sequence}/${flow.row}`);
  COLUMNS.forEach(([, , , cell], i) => write(row.children[i], ...cell(flow)));
}
