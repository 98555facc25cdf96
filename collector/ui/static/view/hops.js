// The hops from NIC to store: which term is each one's own count, and which reasons stand under it.

import { sum } from '../exact.js';
import { exact } from '../figures.js';

// `hops`: the names of the ledger's identities that are broken here. `reasons`: by any word of a reason's name, as the ledger
// writes it (`discarded.outbox_full`).
export const HOPS = [
  { name: 'NIC', term: 'offered', title: 'what the device says arrived, where it says so', hops: ['device'], reasons: ['device_missed'] },
  { name: 'kernel', term: 'seen', title: 'seen by the XDP program (by the packet socket, or by the reader of a file, where there is none)', hops: ['kernel'], reasons: ['passed', 'refused'] },
  { name: 'ring', term: 'received', title: 'received by the workers from the AF_XDP rings (from the packet socket’s ring, or the file)', hops: ['receive'], reasons: ['rx_ring_full', 'rx_dropped', 'not_delivered', 'lost_in_rings'] },
  { name: 'worker', term: 'metered', title: 'put into flows by the workers', hops: ['meter'], reasons: ['undecodable', 'non_flow', 'not_selected', 'handover_full'] },
  { name: 'batch', term: 'exported', title: 'in records that were sealed into batches', hops: ['export', 'batch'], reasons: ['export_queue_full', 'not_encodable', 'no_sink', 'discarded'] },
  { name: 'bus', term: 'sent', title: 'in batches up to the probe’s last word', hops: ['bus'], reasons: ['outbox_full', 'refused_by_bus', 'write_failed', 'drain_timeout'] },
  { name: 'store', term: 'stored', title: 'in rows that are committed', hops: ['ingest', 'store'], reasons: [] },
];
const [WORKER, BATCH, BUS, STORE] = ['worker', 'batch', 'bus', 'store'].map((name) => HOPS.findIndex((hop) => hop.name === name));

// The count of each hop for these epochs; null where nothing says it.
export function counts(epochs) {
  const total = (name) => amounts(epochs.map((epoch) => epoch.total[name]));
  const sent = amounts(epochs.flatMap((epoch) => epoch.streams.map((stream) => stream.sent)));
  return [offered(epochs), total('seen'), total('received'), total('metered'), total('exported'), sent, total('stored')];
}

function amounts(list) {
  const known = list.filter((amount) => amount);
  return known.length === 0 ? null : { packets: sum(known.map(({ packets }) => packets)), octets: sum(known.map(({ octets }) => octets)) };
}

// One queue that does not say leaves the sum unknown.
function offered(epochs) {
  const queues = epochs.flatMap((epoch) => epoch.message?.queues ?? []);
  return queues.length > 0 && queues.every((queue) => queue.offered) ? amounts(queues.map((queue) => queue.offered)) : null;
}

// What left the way or is still on it, each under its hop: [{ hop, reason, count, kind, title }].
export function entries(ledger, epochs) {
  return [...reasons(epochs), ...discardedRecords(epochs), ...underWay(epochs), ...missing(epochs), ...ofTheCollector(ledger)].filter((entry) => entry.count > 0);
}

function reasons(epochs) {
  return [['loss', 'lost'], ['exception', 'excepted']].flatMap(([kind, term]) => added(epochs.map((epoch) => epoch.total[term]))
    .map(([reason, count]) => ({ hop: hopOf(reason), reason, count, kind, title: `${reason}, packets` })));
}

// The sums of maps from reason to count.
function added(maps) {
  const names = [...new Set(maps.flatMap((map) => Object.keys(map)))];
  return names.map((name) => [name, sum(maps.map((map) => map[name] ?? 0))]);
}

// A reason that has no hop of its own stands under the worker: it must be seen somewhere.
function hopOf(reason) {
  const words = reason.split('.');
  const at = HOPS.findLastIndex((hop) => words.some((word) => hop.reasons.includes(word)));
  return at < 0 ? WORKER : at;
}

// Records that a sink was never given, per sink.
function discardedRecords(epochs) {
  return epochs.flatMap((epoch) => epoch.message?.cursors ?? []).flatMap((cursor) => Object.entries(cursor.discarded)
    .map(([reason, count]) => ({ hop: BUS, reason: `records, ${reason}`, count, kind: 'loss', title: `records for ${cursor.sink}` })));
}

function underWay(epochs) {
  const packets = (term) => sum(epochs.map((epoch) => epoch.total[term]?.packets ?? 0));
  const flows = sum(epochs.map((epoch) => epoch.total.open_flows ?? 0));
  return [{ hop: WORKER, reason: `in ${exact(flows)} open flows`, count: packets('open'), kind: 'way', title: 'packets in flows that have not ended' },
    { hop: BATCH, reason: 'on the way', count: packets('in_record_ring'), kind: 'way', title: 'packets in records between worker and batch' }];
}

function missing(epochs) {
  const streams = epochs.flatMap((epoch) => epoch.streams);
  const count = (late, what) => sum(streams.filter((stream) => stream.late === late).map((stream) => stream.missing[what]));
  return [{ hop: BUS, reason: 'missing batches', count: count(false, 'batches'), kind: 'loss', title: `${count(false, 'records')} records, ${count(false, 'packets')} packets` },
    { hop: BUS, reason: 'batches awaited', count: count(true, 'batches'), kind: 'way', title: 'sent, not stored yet' }];
}

// Of all epochs: the collector counts these per message, and does not always know whose it was.
function ofTheCollector(ledger) {
  // A conflict is a refused message too.
  const refused = added([ledger.refused]).filter(([reason]) => reason !== 'conflict').map(([reason, count]) => ({ hop: STORE, reason: `messages, ${reason}`, count, kind: 'loss', title: 'messages that could not be used; kept aside' }));
  return [{ hop: STORE, reason: 'batches came again, stored once', count: ledger.doubled.batches, kind: 'exception', title: 'harmless: the bus delivers at least once' },
    { hop: STORE, reason: 'batches in conflict', count: ledger.conflicts.batches, kind: 'loss', title: 'same stamp, other content; kept aside' }, ...refused];
}
