//! What a person should know about an interface before trusting what is measured on it.

use xsk::Ethtool;
use xsk::ethtool::Offloads;

use super::mode::Mode;
use crate::run::host::Interface;

/// Sentences for the start, each with its mend; empty where nothing is in the way. `outgoing`: what the host sends is
/// metered, too.
pub fn of(interface: &Interface, mode: Mode, outgoing: bool) -> Vec<String> {
    let name = &interface.name;
    let mut sentences = Vec::new();
    if !interface.up {
        sentences.push(format!("{name} is down: nothing will arrive; `ip link set {name} up`"));
    }
    // A driver that does not say is taken at its silence: there is nothing to set either.
    let offloads = Ethtool::of(name).and_then(|ethtool| ethtool.offloads()).unwrap_or_default();
    sentences.extend(merging(name, offloads, mode));
    if mode == Mode::Packet && !outgoing && !interface.addresses.is_empty() {
        sentences.push(format!(
            "{name}: what this host sends is not metered, so its own flows have one direction; --outgoing meters it, too"
        ));
    }
    if mode == Mode::Xdp {
        if offloads.vlan_strip {
            sentences.push(format!(
                "{name} strips VLAN tags before XDP sees the frame: tagged flows appear untagged; \
                 `ethtool -K {name} rxvlan off`"
            ));
        }
        sentences.push(format!("{name}: AF_XDP sees received frames only, not those that this host sends"));
    }
    sentences
}

fn merging(name: &str, offloads: Offloads, mode: Mode) -> Option<String> {
    // XDP in the driver runs before the stack merges; a packet socket listens behind it.
    let generic = offloads.generic_receive && mode == Mode::Packet;
    let (which, switch) = match (offloads.large_receive, generic) {
        (true, true) => ("LRO and GRO are", "lro off gro off"),
        (true, false) => ("LRO is", "lro off"),
        (false, true) => ("GRO is", "gro off"),
        (false, false) => return None,
    };
    Some(format!(
        "{name}: {which} on: merged segments count as one packet; `ethtool -K {name} {switch}` for true packet counts"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_named_with_the_command_that_ends_it() {
        let both = Offloads { generic_receive: true, large_receive: true, vlan_strip: false };
        assert!(merging("eno1", both, Mode::Packet).unwrap().contains("ethtool -K eno1 lro off gro off"));
        assert!(merging("eno1", both, Mode::Xdp).unwrap().contains("`ethtool -K eno1 lro off`"));
        let generic = Offloads { generic_receive: true, ..Offloads::default() };
        assert_eq!(merging("eno1", generic, Mode::Xdp), None);
    }
}
