//! Promiscuous mode as a membership: the interface leaves it when the last member is gone, even one that was killed.
#![expect(unsafe_code, reason = "says which structure the kernel may read")]

use std::os::fd::{AsFd, OwnedFd};

use crate::{Error, Interface, syscall};

/// linux/if_packet.h.
const PACKET_ADD_MEMBERSHIP: i32 = 1;
/// linux/if_packet.h.
const PACKET_MR_PROMISC: u16 = 1;

/// `struct packet_mreq`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Membership {
    interface: i32,
    kind: u16,
    address_length: u16,
    address: [u8; 8],
}

syscall::plain!(Membership);

/// Keeps an interface promiscuous while it lives. AF_XDP sockets need it as well as packet sockets: the device's own filter is before
/// both. `ip -d link` shows the number of members as `promiscuity`.
#[derive(Debug)]
pub struct Promiscuous {
    _descriptor: OwnedFd,
}

impl Promiscuous {
    /// Joins. System calls: socket(AF_PACKET) of no protocol, so that no packet is queued on it; setsockopt(PACKET_ADD_MEMBERSHIP).
    /// Capability: CAP_NET_RAW.
    ///
    /// # Errors
    /// [`Error::Kernel`] where a call is refused.
    pub fn join(interface: &Interface) -> Result<Self, Error> {
        let refused = |call| move |source| Error::kernel(call, format!("interface {interface}"), source);
        let descriptor = syscall::socket(libc::AF_PACKET, 0).map_err(refused("socket(AF_PACKET)"))?;
        let membership = Membership {
            interface: i32::try_from(interface.index()).unwrap_or(i32::MAX),
            kind: PACKET_MR_PROMISC,
            address_length: 0,
            address: [0; 8],
        };
        syscall::set_option(descriptor.as_fd(), libc::SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership)
            .map_err(refused("setsockopt(PACKET_ADD_MEMBERSHIP)"))?;
        Ok(Self { _descriptor: descriptor })
    }
}
