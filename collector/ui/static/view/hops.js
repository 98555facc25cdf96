// The hops from NIC to store: which term is each one's own count, and which reasons stand under it.

import { sum } from '../exact.js';

// Reasons are told apart by the first word of their name, as the ledger writes them.
export const HOPS = [
  { name: 'NIC', title: 'what the device says arrived, where it says so', hops: ['device', 'nic'], reasons: ['device_missed'] },
  { name: 'XDP', title: 'seen by the program in the kernel; by the packet socket or the file reader where there is none', hops: ['kernel'], reasons: ['passed', 'refused'] },
  { name: 'AF_XDP', title: 'received from the rings', hops: ['receive', 'ring'], reasons: ['rx_ring_full', 'rx_dropped', 'not_delivered'] },
  { name: 'worker', title: 'metered into flows', hops: ['meter', 'worker'], reasons: ['undecodable', 'non_flow', 'handover_full'] },
  { name: 'batch', title: 'in records that were sealed into batches', hops: ['export', 'batch'], reasons: ['export_queue_full', 'no_sink', 'discarded'] },
  { name: 'bus', title: 'in batches that the probe says it sent', hops: ['bus'], reasons: ['outbox_full', 'refused_by_bus', 'drain_timeout', 'missing'] },
  { name: 'store', title: 'in rows that are committed', hops: ['ingest', 'store'], reasons: [] },
];

// The count of each hop for these epochs; null where nothing says it.
export function counts(epochs) {
  const total = (name) => amounts(epochs.map((epoch) => epoch.total[name]));
  return [offered(epochs), total('seen'), total('received'), total('metered'), total('exported'), sent(epochs), total('stored')];
}

function amounts(list) {
  const known = list.filter((amount) => amount);
  return known.length === 0 ? null : { packets: sum(known.map(({ packets }) => packets)), octets: sum(known.map(({ octets }) => octets)) };
}

const sent = (epochs) => amounts(epochs.flatMap((epoch) => epoch.streams.map((stream) => stream.sent)));

// One queue that does not say leaves the sum unknown.
function offered(epochs) {
  const queues = epochs.flatMap((epoch) => epoch.message?.queues ?? []);
  return queues.length > 0 && queues.every((queue) => queue.offered) ? amounts(queues.map((queue) => queue.offered)) : null;
}

// Every reason of these epochs under its hop: [{ hop, reason, packets, kind }]. One without a hop of its own stands under
// the worker: it must be seen somewhere.
export function reasons(epochs) {
  const found = new Map();
  for (const [kind, term] of [['loss', 'lost'], ['exception', 'excepted']]) {
    for (const epoch of epochs) {
      for (const [reason, amount] of Object.entries(epoch.total[term] ?? {})) {
        const packets = typeof amount === 'object' ? amount.packets : amount;
        if (packets == 0) continue;
        const entry = found.get(reason) ?? { hop: hopOf(reason), reason, kind, packets: 0 };
        entry.packets = sum([entry.packets, packets]);
        found.set(reason, entry);
      }
    }
  }
  return [...found.values()];
}

function hopOf(reason) {
  const words = reason.split(/[.{]/);
  const at = HOPS.findIndex((hop) => words.some((word) => hop.reasons.includes(word)));
  return at < 0 ? HOPS.findIndex((hop) => hop.name === 'worker') : at;
}

// Packets between two hops, not lost: [{ hop, reason, packets }].
export function underWay(epochs) {
  const open = sum(epochs.map((epoch) => epoch.total.open?.packets ?? 0));
  return open == 0 ? [] : [{ hop: HOPS.findIndex((hop) => hop.name === 'worker'), reason: 'in open flows', packets: open, kind: 'way' }];
}

// What the collector itself counts: batches that never came, came twice, or could not be read.
export function atTheStore(ledger, epochs) {
  const bus = HOPS.findIndex((hop) => hop.name === 'bus'), store = bus + 1;
  const missing = (what) => sum(epochs.flatMap((epoch) => epoch.streams.map((stream) => stream.missing[what])));
  return [
    { hop: bus, reason: 'missing batches', packets: missing('batches'), kind: 'loss', title: `${missing('records')} records, ${missing('packets')} packets` },
    { hop: store, reason: 'batches came twice, stored once', packets: ledger.doubled.batches, kind: 'exception' },
    { hop: store, reason: 'batches in conflict', packets: ledger.conflicts.batches, kind: 'loss' },
    { hop: store, reason: 'messages not decodable', packets: ledger.refused.undecodable, kind: 'loss' },
  ].filter((entry) => entry.packets > 0);
}
