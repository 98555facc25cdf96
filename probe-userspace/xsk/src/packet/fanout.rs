//! Fanout: the kernel shares the packets of an interface among the sockets of a group.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::layout::option;
use crate::{Error, Interface, syscall};

/// A group of packet sockets in one network namespace.
#[derive(Debug, Clone)]
pub struct Fanout {
    /// The group's number: all members name the same, other groups another.
    pub group: u16,
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

/// Joins the group. The socket must be bound.
pub(super) fn join(fd: BorrowedFd<'_>, interface: &Interface, fanout: &Fanout) -> Result<(), Error> {
    let thing = || format!("interface {interface}, fanout group {}", fanout.group);
    let argument = u32::from(fanout.group) | u32::from(fanout.spread.kernel_type()) << 16;
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
    Ok(())
}
