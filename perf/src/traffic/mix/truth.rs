//! What a meter must have counted of the mix: sums per key, whatever flows had it.

use std::collections::HashMap;

use super::key::Key;
use crate::flows::{Amount, Line};

/// Per key, what arrived from client to server and back. Some 120 octets a key, table and room to grow included.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    slots: HashMap<Key, u32>,
    /// In the order of their first flow.
    sums: Vec<(Key, [Amount; 2])>,
}

impl Truth {
    /// Where a key is counted.
    pub(super) fn slot(&mut self, key: Key) -> usize {
        let next = self.sums.len();
        let slot = *self.slots.entry(key).or_insert(next as u32) as usize;
        if slot == next {
            self.sums.push((key, Default::default()));
        }
        slot
    }

    pub(super) fn add(&mut self, slot: usize, forward: bool, amount: Amount) {
        self.sums[slot].1[usize::from(!forward)] += amount;
    }

    /// A line per key of which anything arrived.
    pub(super) fn lines(&self, vlan_id: Option<u16>) -> impl Iterator<Item = Line> + '_ {
        let arrived = |(_, [there, back]): &&(Key, [Amount; 2])| there.packets + back.packets > 0;
        self.sums.iter().filter(arrived).map(move |(key, [there, back])| {
            let (client, server) = key.ends();
            Line {
                source_ip_address: client.ip(),
                destination_ip_address: server.ip(),
                source_transport_port: client.port(),
                destination_transport_port: server.port(),
                protocol_identifier: key.protocol_identifier(),
                vlan_id,
                packet_delta_count: there.packets,
                reverse_packet_delta_count: back.packets,
                octet_delta_count: there.octets,
                reverse_octet_delta_count: back.octets,
                layer2_octet_delta_count: there.layer2_octets,
                reverse_layer2_octet_delta_count: back.layer2_octets,
            }
        })
    }
}
