//! How an interface is captured: AF_XDP takes frames away from the host, a packet socket does not.

use crate::config::CaptureWord;
use crate::run::host::{Interface, Use, in_use};

/// Link layers that have an Ethernet header (linux/if_arp.h): Ethernet itself and the loopback.
const ETHERNET: [u16; 2] = [libc::ARPHRD_ETHER, libc::ARPHRD_LOOPBACK];

/// How an interface is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// AF_XDP, exclusive.
    Xdp,
    /// TPACKET_V3, passive.
    Packet,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Xdp => "AF_XDP",
            Self::Packet => "packet socket",
        })
    }
}

/// The mode, and what a person should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub mode: Mode,
    /// Why, and what the other would need; `None` where it was asked for and does no harm.
    pub sentence: Option<String>,
}

/// Chooses: what was asked for, else what cannot harm the host.
pub fn choose(word: CaptureWord, interface: &Interface) -> Choice {
    of_use(word, interface, in_use(interface))
}

fn of_use(word: CaptureWord, interface: &Interface, used: Option<Use>) -> Choice {
    let name = &interface.name;
    match (word, used) {
        (CaptureWord::Packet, _) => Choice { mode: Mode::Packet, sentence: None },
        (CaptureWord::Xdp, None) => Choice { mode: Mode::Xdp, sentence: None },
        (CaptureWord::Xdp, Some(used)) => Choice {
            mode: Mode::Xdp,
            sentence: Some(format!(
                "{name} {used}: AF_XDP was asked for and takes its frames, but for ARP, neighbour discovery and \
                 frames to {name}'s own MAC address"
            )),
        },
        (CaptureWord::Auto, Some(used)) => Choice {
            mode: Mode::Packet,
            sentence: Some(format!(
                "{name} {used}: listening by packet socket, which takes nothing away from the host; AF_XDP is for a \
                 port without addresses and routes (a mirror or tap), or --capture xdp"
            )),
        },
        (CaptureWord::Auto, None) if !is_ethernet(interface) => Choice {
            mode: Mode::Packet,
            sentence: Some(format!(
                "{name} has no Ethernet header (ARPHRD type {}): listening by packet socket, since AF_XDP reads \
                 Ethernet only",
                interface.hardware_type
            )),
        },
        (CaptureWord::Auto, None) => Choice {
            mode: Mode::Xdp,
            sentence: Some(format!("{name} has no address and no route: capturing by AF_XDP, exclusively")),
        },
    }
}

/// Whether its frames begin with an Ethernet header.
pub(super) fn is_ethernet(interface: &Interface) -> bool {
    ETHERNET.contains(&interface.hardware_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(addresses: &[&str], hardware_type: u16) -> Interface {
        Interface {
            name: "nosuchif0".into(),
            index: 999,
            hardware_type,
            mac_address: [2; 6],
            up: true,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn an_interface_with_an_address_is_only_listened_to_unless_asked() {
        let host = interface(&["192.0.2.2"], libc::ARPHRD_ETHER);
        let choice = choose(CaptureWord::Auto, &host);
        assert_eq!(choice.mode, Mode::Packet);
        let sentence = choice.sentence.unwrap();
        assert!(sentence.contains("192.0.2.2") && sentence.contains("--capture xdp"), "{sentence}");
        assert_eq!(choose(CaptureWord::Xdp, &host).mode, Mode::Xdp);
    }

    #[test]
    fn a_port_without_an_address_is_captured_by_xdp() {
        let port = interface(&["fe80::1"], libc::ARPHRD_ETHER);
        assert_eq!(of_use(CaptureWord::Auto, &port, None).mode, Mode::Xdp);
        assert_eq!(of_use(CaptureWord::Packet, &port, None).mode, Mode::Packet);
        assert_eq!(of_use(CaptureWord::Auto, &port, Some(Use::Unknown)).mode, Mode::Packet);
    }

    #[test]
    fn a_tunnel_without_ethernet_is_listened_to() {
        let tunnel = interface(&[], libc::ARPHRD_NONE);
        assert_eq!(of_use(CaptureWord::Auto, &tunnel, None).mode, Mode::Packet);
    }
}
