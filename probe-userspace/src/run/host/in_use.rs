//! Whether the host itself lives on an interface: then redirecting its frames would cut the host off.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use super::{Interface, unicast};

const SYSFS: &str = "/sys/class/net";
/// IPv4 routes of this namespace: the first column is the interface (route(8)).
const IPV4_ROUTES: &str = "/proc/self/net/route";
/// IPv6 routes: destination, prefix length first, interface last.
const IPV6_ROUTES: &str = "/proc/self/net/ipv6_route";

/// What of the host's an interface carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// An address.
    Address(IpAddr),
    /// A route without an address (point-to-point, on-link).
    Route,
    /// Another device on top of it: a bridge, a bond, a VLAN.
    Upper(String),
    /// It receives for the address of a device that is not in this namespace: a macvlan of a container.
    Elsewhere([u8; 6]),
    /// What lies on top of it cannot be seen from here, so it may be anything.
    Unknown,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "has the address {address}"),
            Self::Route => f.write_str("has a route"),
            Self::Upper(name) => write!(f, "carries {name}"),
            Self::Elsewhere([a, b, c, d, e, g]) => write!(
                f,
                "receives for {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x} too (a macvlan, perhaps of a container)"
            ),
            Self::Unknown => f.write_str(
                "may carry other devices (/sys shows another network namespace; `ip netns exec` mounts the right one)",
            ),
        }
    }
}

/// What the host uses `interface` for; `None` for a port that only listens. The link-local address that the kernel
/// gives to every interface that is up is not a use.
pub fn in_use(interface: &Interface) -> Option<Use> {
    let address = interface.addresses.iter().find(|address| !link_local(address));
    address
        .map(|&address| Use::Address(address))
        .or_else(|| has_route(&interface.name).then_some(Use::Route))
        .or_else(|| on_top(interface))
}

/// Who cannot be asked counts as a use: a capture that only listens harms nobody.
fn on_top(interface: &Interface) -> Option<Use> {
    match (upper(SYSFS, interface), unicast::of_others(interface.index)) {
        (Ok(Some(name)), _) => Some(Use::Upper(name)),
        (_, Ok(Some(address))) => Some(Use::Elsewhere(address)),
        (Ok(None), Ok(None)) => None,
        (Err(NotHere), _) | (_, Err(_)) => Some(Use::Unknown),
    }
}

fn link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.segments()[0] & 0xffc0 == 0xfe80)
}

/// Sysfs shows another namespace, or is not mounted.
struct NotHere;

/// The first of the devices above, by sysfs.
fn upper(sysfs: &str, interface: &Interface) -> Result<Option<String>, NotHere> {
    let directory = Path::new(sysfs).join(&interface.name);
    let index = std::fs::read_to_string(directory.join("ifindex")).map_err(|_| NotHere)?;
    if index.trim().parse() != Ok(interface.index) {
        return Err(NotHere);
    }
    let entries = std::fs::read_dir(&directory).map_err(|_| NotHere)?;
    let name =
        |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix("upper_").map(str::to_string);
    Ok(entries.flatten().find_map(name))
}

fn has_route(name: &str) -> bool {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    ipv4_route(&read(IPV4_ROUTES), name) || ipv6_route(&read(IPV6_ROUTES), name)
}

fn ipv4_route(table: &str, name: &str) -> bool {
    table.lines().skip(1).any(|line| line.split_whitespace().next() == Some(name))
}

/// The kernel's own routes for link-local (fe80::/10) and multicast (ff00::/8) destinations do not count.
fn ipv6_route(table: &str, name: &str) -> bool {
    table.lines().any(|line| {
        let destination = line.split_whitespace().next().unwrap_or_default();
        let own = ["fe8", "fe9", "fea", "feb", "ff"].iter().any(|prefix| destination.starts_with(prefix));
        line.split_whitespace().last() == Some(name) && !own
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(addresses: &[&str]) -> Interface {
        Interface {
            name: "nosuchif0".into(),
            index: 999,
            hardware_type: 1,
            mac_address: [2; 6],
            up: true,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn an_address_of_its_own_is_a_use_and_a_link_local_one_is_not() {
        // Sysfs does not know this one, and what is not known is not free.
        assert_eq!(in_use(&interface(&["fe80::1"])), Some(Use::Unknown));
        let used = in_use(&interface(&["fe80::1", "192.0.2.2"]));
        assert_eq!(used, Some(Use::Address("192.0.2.2".parse().unwrap())));
    }

    #[test]
    fn routes_count_by_interface_and_the_kernels_own_do_not() {
        let ipv4 = "Iface\tDestination\neno1\t00000000\t0102A8C0\n";
        assert!(ipv4_route(ipv4, "eno1") && !ipv4_route(ipv4, "Iface") && !ipv4_route(ipv4, "eno"));
        let own = "fe800000000000000000000000000000 40 0 00 0 00000100 00000001 0 00000001     eth0\n\
                   ff000000000000000000000000000000 08 0 00 0 00000100 00000001 0 00000001     eth0\n";
        let global = "20010db8000000000000000000000000 40 0 00 0 00000100 00000001 0 00000001     eth0\n";
        assert!(!ipv6_route(own, "eth0") && ipv6_route(global, "eth0") && !ipv6_route(global, "eth1"));
    }
}
