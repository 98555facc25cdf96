//! Fanout: the kernel shares the packets of an interface among the sockets of a group.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::layout::option;
use crate::{Error, Interface, syscall};

/// A group of packet sockets in one network namespace.
#[derive(Debug, Clone)]
pub struct Fanout {
    /// The group's number: `None` = a new group, with a number that no other in this namespace has
    /// ([`Socket::fanout_group`](super::Socket::fanout_group) tells it); `Some` = join this one.
    pub group: Option<u16>,
    /// Which member gets a packet. The same for all members.
    pub spread: Spread,
}

/// Which member of a group gets a packet (packet(7), PACKET_FANOUT).
#[derive(Debug, Clone)]
pub enum Spread {
    /// By the kernel's symmetric flow hash: both directions of a flow go to one member. First fragments have ports and later ones have
    /// not, so a fragmented packet may reach two members.
    Hash,
    /// By the addresses, both directions alike: fragments and whole packets of a flow go to one member.
    Addresses,
    /// In turns.
    LoadBalance,
    /// By the CPU that received it.
    Cpu,
    /// By the receive queue.
    Queue,
    /// By the result, modulo the members, of this loaded BPF program of type socket filter.
    Program(Arc<OwnedFd>),
}

impl Spread {
    const fn kernel_type(&self) -> u16 {
        match self {
            Self::Hash => 0,
            Self::LoadBalance => 1,
            Self::Cpu => 2,
            Self::Queue => 5,
            Self::Addresses => 6,
            Self::Program(_) => 7,
        }
    }
}

/// PACKET_FANOUT_FLAG_UNIQUEID (linux/if_packet.h, Linux 4.12): the kernel chooses a number that is free. Of the first
/// member only; the others find the group without it.
const UNIQUE: u16 = 0x2000;

/// Joins the group, or makes it; returns its number. The socket must be bound.
pub(super) fn join(fd: BorrowedFd<'_>, interface: &Interface, fanout: &Fanout) -> Result<u16, Error> {
    let name =
        fanout.group.map_or_else(|| "a new fanout group".into(), |group| format!("fanout group {group}"));
    let thing = || format!("interface {interface}, {name}");
    let flags = if fanout.group.is_none() { UNIQUE } else { 0 };
    let argument =
        u32::from(fanout.group.unwrap_or(0)) | u32::from(fanout.spread.kernel_type() | flags) << 16;
    syscall::set_option(fd, libc::SOL_PACKET, option::FANOUT, &argument)
        .map_err(|source| Error::kernel("setsockopt(PACKET_FANOUT)", thing(), source))?;
    if let Spread::Addresses = fanout.spread {
        syscall::set_program(fd, libc::SOL_PACKET, option::FANOUT_DATA, &super::addresses::program())
            .map_err(|source| Error::kernel("setsockopt(PACKET_FANOUT_DATA)", thing(), source))?;
    }
    if let Spread::Program(program) = &fanout.spread {
        let program = program.as_fd().as_raw_fd();
        syscall::set_option(fd, libc::SOL_PACKET, option::FANOUT_DATA, &program)
            .map_err(|source| Error::kernel("setsockopt(PACKET_FANOUT_DATA)", thing(), source))?;
    }
    // The number lies in the low half, type and flags above it (net/packet/af_packet.c, packet_getsockopt).
    let (joined, _) = syscall::get_option::<u32>(fd, libc::SOL_PACKET, option::FANOUT)
        .map_err(|source| Error::kernel("getsockopt(PACKET_FANOUT)", thing(), source))?;
    Ok(joined as u16)
}
