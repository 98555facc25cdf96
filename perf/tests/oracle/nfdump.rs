//! nfpcapd and nfdump: a flow meter by other people, octets of IP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A unidirectional flow: source, destination, protocol.
pub(crate) type Flow = ((IpAddr, u16), (IpAddr, u16), u8);

/// Packets and octets of IP.
pub(crate) type Amount = (u64, u64);

/// What nfpcapd makes of a file. `Err` = it does not read such a file, and what it says.
pub(crate) fn flows(path: &Path) -> Result<BTreeMap<Flow, Amount>, String> {
    let folder = tempfile::tempdir().unwrap();
    let meter = Command::new("nfpcapd").arg("-r").arg(path).arg("-w").arg(folder.path()).output();
    let meter = meter.expect("nfpcapd runs (`make setup` installs it)");
    if !meter.status.success() {
        return Err(
            String::from_utf8_lossy(&meter.stderr).trim().to_owned() + &format!(" ({})", meter.status)
        );
    }
    let reader = Command::new("nfdump").arg("-R").arg(folder.path()).args(["-q", "-o", "json"]).output();
    let reader = reader.expect("nfdump runs (`make setup` installs it)");
    let text = String::from_utf8(reader.stdout).unwrap();
    let objects = if text.trim_start().starts_with('{') { text.trim() } else { "" };
    let lines: Vec<Value> = serde_json::from_str(&format!("[{objects}]")).unwrap();
    let mut flows = BTreeMap::new();
    for line in lines {
        let amount: &mut Amount = flows.entry(flow(&line)).or_default();
        amount.0 += line["in_packets"].as_u64().unwrap();
        amount.1 += line["in_bytes"].as_u64().unwrap();
    }
    Ok(flows)
}

fn flow(line: &Value) -> Flow {
    let address = |side: &str| -> IpAddr {
        let text = line[format!("{side}4_addr")].as_str().or(line[format!("{side}6_addr")].as_str());
        text.unwrap_or_else(|| panic!("no address: {line}")).parse().unwrap()
    };
    let protocol = line["proto"].as_u64().unwrap() as u8;
    let port = |name: &str| line[name].as_u64().unwrap_or(0) as u16;
    portless(((address("src"), port("src_port")), (address("dst"), port("dst_port")), protocol))
}

/// A flow without ports but for TCP and UDP: nfdump puts ICMP types and GRE keys there, and knows none of SCTP.
pub(crate) fn portless((source, destination, protocol): Flow) -> Flow {
    match protocol {
        6 | 17 => (source, destination, protocol),
        _ => ((source.0, 0), (destination.0, 0), protocol),
    }
}
