//! A way out of a shard that keeps everything, for tests.

use flow_wire::ledger::Amount;
use flow_wire::record::FlowRecord;
use xdp_abi::key::FlowKey;
use xdp_abi::protocol::TCP;

use super::{Given, Owners, Shard};
use crate::flow::{Cache, Records, Settings};
use crate::packet::Packet;
use crate::survive::{Parts, Shape};

impl Shard {
    /// A shard in memory of the test's own.
    pub(crate) fn of(worker: u16, settings: &Settings) -> Self {
        let shape = Shape { buckets: Cache::buckets_for(settings), ring: 1, places: 0 };
        Self::new(worker, settings, Parts::anonymous(shape).unwrap().shard)
    }
}

/// All records; packets of other workers' flows by what `owner` says of them.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) records: Vec<FlowRecord>,
    pub(crate) away: Vec<Packet>,
    pub(crate) owner: Option<fn(&Packet) -> Given>,
}

impl Collected {
    /// What the records hold.
    pub(crate) fn amount(&self) -> Amount {
        self.records.iter().fold(Amount::ZERO, |sum, record| Amount {
            packets: sum.packets + record.packet_delta_count + record.reverse_packet_delta_count,
            octets: sum.octets + record.layer2_octet_delta_count + record.reverse_layer2_octet_delta_count,
        })
    }
}

impl Records for Collected {
    fn record(&mut self, record: FlowRecord) {
        self.records.push(record);
    }

    fn sequence(&self) -> u64 {
        self.records.len() as u64
    }

    fn room(&self) -> usize {
        usize::MAX
    }
}

impl Owners for Collected {
    fn owns(&self, packet: &Packet) -> bool {
        self.owner.is_none_or(|owner| owner(packet) == Given::Own)
    }

    fn give(&mut self, packet: &Packet) -> Given {
        let given = self.owner.map_or(Given::Own, |owner| owner(packet));
        if given == Given::Away {
            self.away.push(*packet);
        }
        given
    }
}

/// Of a TCP flow between two hosts.
pub(crate) fn key(port: u16) -> FlowKey {
    let end = |n: u8| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[192, 0, 2, n]);
        address
    };
    FlowKey {
        low_address: end(1),
        high_address: end(2),
        low_port: port,
        high_port: 443,
        vlan: 0,
        customer_vlan: 0,
        protocol: TCP,
        ip_version: 4,
        zero: [0; 2],
    }
}
