// Words for the numbers of the wire.

// IANA protocol numbers that a network shows; any other stands as its number.
const PROTOCOLS = new Map([[0, 'HOPOPT'], [1, 'ICMP'], [2, 'IGMP'], [4, 'IPv4'], [6, 'TCP'], [8, 'EGP'], [9, 'IGP'], [17, 'UDP'], [27, 'RDP'],
  [33, 'DCCP'], [41, 'IPv6'], [43, 'IPv6-Route'], [44, 'IPv6-Frag'], [46, 'RSVP'], [47, 'GRE'], [50, 'ESP'], [51, 'AH'], [58, 'ICMPv6'],
  [59, 'IPv6-NoNxt'], [60, 'IPv6-Opts'], [88, 'EIGRP'], [89, 'OSPF'], [94, 'IPIP'], [97, 'EtherIP'], [103, 'PIM'], [108, 'IPComp'],
  [112, 'VRRP'], [115, 'L2TP'], [124, 'IS-IS'], [132, 'SCTP'], [135, 'Mobility'], [136, 'UDPLite'], [137, 'MPLS-in-IP'], [139, 'HIP'],
  [140, 'Shim6']]);

const ICMP = new Set([1, 58]);
const WITH_PORTS = new Set([6, 17, 33, 132, 136]);

export const protocol = (number) => PROTOCOLS.get(number) ?? String(number);
export const isIcmp = (number) => ICMP.has(number);
export const hasPorts = (number) => WITH_PORTS.has(number);

// RFC 9293 and RFC 3168, lowest bit first: FIN is 1.
const FLAGS = [['F', 'FIN'], ['S', 'SYN'], ['R', 'RST'], ['P', 'PSH'], ['A', 'ACK'], ['U', 'URG'], ['E', 'ECE'], ['C', 'CWR']];
// In the order in which a connection shows them.
const FLAG_ORDER = [1, 4, 3, 0, 2, 5, 6, 7];

const flagsOf = (bits) => FLAG_ORDER.filter((bit) => bits & (1 << bit));
export const flagLetters = (bits) => (bits === null ? '' : flagsOf(bits).map((bit) => FLAGS[bit][0]).join('') || '–');
export const flagNames = (bits) => (bits === null ? 'none seen' : flagsOf(bits).map((bit) => FLAGS[bit][1]).join(' ') || 'none set');

const END_REASONS = { not_told: '–', idle_timeout: 'idle', active_timeout: 'active', end_of_flow: 'end of flow', forced_end: 'forced end', lack_of_resources: 'no room' };
const END_REASON_TITLES = {
  not_told: 'the publisher, which is none of ours, does not tell it',
  idle_timeout: 'no packet for the idle timeout', active_timeout: 'older than the active timeout: the flow goes on in a next record',
  end_of_flow: 'FIN of both sides, or RST', forced_end: 'the probe stopped, or the file ended',
  lack_of_resources: 'its bucket in the flow cache was full',
};
export const endReason = (reason) => END_REASONS[reason] ?? reason;
export const endReasonTitle = (reason) => END_REASON_TITLES[reason] ?? reason;

export const MEASURES = { octets: { word: 'IP octets', unit: 'B' }, packets: { word: 'packets', unit: '' }, flows: { word: 'flows', unit: '' } };
