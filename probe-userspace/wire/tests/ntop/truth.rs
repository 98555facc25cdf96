//! What nfdump made of the datagrams that netflow2ng got.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

/// Source, destination, protocol.
pub(crate) type Key = (IpAddr, u16, IpAddr, u16, u8);

/// Packets, octets, flags, VLAN, ICMP type and code, first and last second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) flags: Option<u16>,
    pub(crate) vlan: Option<u16>,
    pub(crate) icmp: Option<(u8, u8)>,
    pub(crate) times: (u64, u64),
}

pub(crate) fn read() -> BTreeMap<Key, Flow> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = ["tests/golden", "../probe-userspace/wire/tests/golden"].map(|golden| folder.join(golden));
    let golden = golden.iter().find(|golden| golden.is_dir()).unwrap();
    let text = std::fs::read_to_string(golden.join("netflow2ng/nfdump.jsonl")).unwrap();
    let flows: Vec<_> = text.lines().map(|line| flow(&serde_json::from_str(line).unwrap())).collect();
    let count = flows.len();
    let flows: BTreeMap<_, _> = flows.into_iter().collect();
    assert_eq!(flows.len(), count, "each key once");
    flows
}

fn flow(line: &Value) -> (Key, Flow) {
    let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
    let number = |name: &str| line[name].as_u64();
    let port = |name: &str| number(name).unwrap() as u16;
    let protocol = number("protocol_identifier").unwrap() as u8;
    let key = (
        address("source_ip_address"),
        port("source_transport_port"),
        address("destination_ip_address"),
        port("destination_transport_port"),
        protocol,
    );
    // "...A.RS." is CWR to FIN.
    let flags = line["tcp_flags"].as_str().filter(|_| protocol == 6);
    let flags = flags.map(|text| text.chars().fold(0, |bits, flag| bits << 1 | u16::from(flag != '.')));
    let flow = Flow {
        packets: number("packets").unwrap(),
        octets: number("octets").unwrap(),
        flags,
        vlan: number("vlan").filter(|vlan| *vlan > 0).map(|vlan| vlan as u16),
        icmp: number("icmp_type").zip(number("icmp_code")).map(|(kind, code)| (kind as u8, code as u8)),
        times: (number("first").unwrap(), number("last").unwrap()),
    };
    (key, flow)
}
