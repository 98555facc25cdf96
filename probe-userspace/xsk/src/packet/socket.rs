//! A packet socket: opened inert, started, read in bursts, stopped, drained.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::block::{Cursor, Packet};
use super::layout::{RAW_HARDWARE, RawStatistics, RingRequest, VERSION_3, option};
use super::ring::Ring;
use super::{Gate, Options, Statistics, fanout, gate};
use crate::memory::Memory;
use crate::promiscuous::Promiscuous;
use crate::{Error, Interface, syscall, wait};

/// Packets of a burst at most.
pub const PACKETS: usize = 64;
/// Smallest unit of a V3 ring; only the kernel's own check of the request looks at it.
const FRAME_OCTETS: u32 = 2048;

/// A packet socket with its ring. It belongs to one thread at a time.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    interface: Interface,
    snap_octets: Option<u32>,
    ring: Ring,
    /// The block that is being read or comes next.
    index: usize,
    cursor: Option<Cursor>,
    statistics: Statistics,
    received: u64,
    unreadable: u64,
    fanout_group: Option<u16>,
    /// Its membership goes with the descriptor.
    _promiscuous: Option<Promiscuous>,
}

/// Packets of one block, lent until this value goes.
#[derive(Debug)]
pub struct Lent<'a> {
    packets: [Packet<'a>; PACKETS],
    count: usize,
}

impl<'a> Deref for Lent<'a> {
    type Target = [Packet<'a>];

    fn deref(&self) -> &Self::Target {
        &self.packets[..self.count]
    }
}

impl Socket {
    /// Opens a packet socket; it captures nothing before [`Self::start`]. Open all members of a fanout group, then start them.
    ///
    /// System calls: socket(AF_PACKET), setsockopt (SO_ATTACH_FILTER, PACKET_VERSION, PACKET_IGNORE_OUTGOING, PACKET_TIMESTAMP,
    /// PACKET_RX_RING, PACKET_ADD_MEMBERSHIP, PACKET_FANOUT), mmap, bind. Capability: CAP_NET_RAW. After this it works without any.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a block size or count; [`Error::Kernel`] naming the interface and the mend where a call is refused:
    /// EPERM (capability), ENOMEM (ring too large), ENETDOWN (interface down), EINVAL (another group has that number).
    pub fn open(options: &Options) -> Result<Self, Error> {
        options.check()?;
        let thing = format!("interface {}", options.interface);
        let refused =
            |call| move |source| Error::kernel(call, format!("interface {}", options.interface), source);
        // Protocol 0: no packet comes before bind says from which interface.
        let descriptor = syscall::socket(libc::AF_PACKET, 0)
            .map_err(|source| Error::kernel("socket(AF_PACKET)", thing, source))?;
        gate::close(descriptor.as_fd()).map_err(refused("setsockopt(SO_ATTACH_FILTER)"))?;
        set_options(descriptor.as_fd(), options)?;
        let ring = map_ring(descriptor.as_fd(), options)?;
        bind(descriptor.as_fd(), &options.interface).map_err(refused("bind(AF_PACKET)"))?;
        let join = |fanout| fanout::join(descriptor.as_fd(), &options.interface, fanout);
        let fanout_group = options.fanout.as_ref().map(join).transpose()?;
        let promiscuous = options.promiscuous.then(|| Promiscuous::join(&options.interface)).transpose()?;
        Ok(Self {
            descriptor,
            interface: options.interface.clone(),
            snap_octets: options.snap_octets,
            ring,
            index: 0,
            cursor: None,
            statistics: Statistics::default(),
            received: 0,
            unreadable: 0,
            fanout_group,
            _promiscuous: promiscuous,
        })
    }

    /// Captures from now on.
    ///
    /// # Errors
    /// [`Error::Kernel`] as setsockopt(2).
    pub fn start(&self) -> Result<(), Error> {
        gate::open(self.as_fd(), self.snap_octets)
            .map_err(|source| self.refused("setsockopt(SO_ATTACH_FILTER)", source))
    }

    /// Captures nothing from now on. What was captured can still be received: [`Self::is_drained`] says when that is all.
    ///
    /// # Errors
    /// [`Error::Kernel`] as setsockopt(2).
    pub fn stop(&self) -> Result<(), Error> {
        gate::close(self.as_fd()).map_err(|source| self.refused("setsockopt(SO_ATTACH_FILTER)", source))
    }

    /// Its gate, to be opened and closed by another thread than the one that receives.
    ///
    /// # Errors
    /// [`Error::Kernel`] where no descriptor is left.
    pub fn gate(&self) -> Result<Gate, Error> {
        Gate::of(self.as_fd(), &self.interface, self.snap_octets)
            .map_err(|source| self.refused("fcntl(F_DUPFD)", source))
    }

    /// Lends the next packets, [`PACKETS`] at most, all of one block; none where no block is ready. What was lent before is returned
    /// to the kernel where it was the last of its block. No system call, no allocation.
    pub fn receive(&mut self) -> Lent<'_> {
        self.give_back_finished();
        let mut lent = Lent { packets: [Packet::NONE; PACKETS], count: 0 };
        let Some(block) = self.ring.block(self.index) else { return lent };
        let mut cursor = self.cursor.take().or_else(|| Cursor::new(block));
        while let Some(cursor) = &mut cursor
            && lent.count < PACKETS
            && cursor.left() > 0
        {
            let left = cursor.left();
            let Some(packet) = cursor.next(block) else {
                self.unreadable += u64::from(left);
                cursor.abandon();
                break;
            };
            lent.packets[lent.count] = packet;
            lent.count += 1;
        }
        self.received += lent.count as u64;
        self.cursor = Some(cursor.unwrap_or(Cursor::FINISHED));
        lent
    }

    /// Returns the block whose packets were all lent.
    fn give_back_finished(&mut self) {
        if self.cursor.is_some_and(|cursor| cursor.left() == 0) {
            self.ring.give_back(self.index);
            self.cursor = None;
            self.index = (self.index + 1) % self.ring.blocks();
        }
    }

    /// Sleeps until a block is ready, a signal comes, or `timeout` (none: for ever) is over. True where one is ready. What was lent is
    /// returned first where it was the last of its block.
    ///
    /// # Errors
    /// As ppoll(2); ENETDOWN when the interface has gone down.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.give_back_finished();
        if self.ring.block(self.index).is_some() {
            return Ok(true);
        }
        wait::until_readable(&[self.as_fd()], timeout)
    }

    /// Takes the error that waits on the socket (getsockopt SO_ERROR): ENETDOWN when the interface went down, ENODEV when it is gone.
    /// While one waits the socket is always readable, so take it before sleeping. An interface that comes up again is captured again.
    #[must_use]
    pub fn take_error(&self) -> Option<io::Error> {
        let waiting = syscall::get_option::<i32>(self.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR);
        let (number, _) = waiting.ok()?;
        (number != 0).then(|| io::Error::from_raw_os_error(number))
    }

    /// The kernel's books, up to now (getsockopt PACKET_STATISTICS, accumulated).
    ///
    /// # Errors
    /// [`Error::Kernel`] as getsockopt(2).
    pub fn statistics(&mut self) -> Result<Statistics, Error> {
        let read = syscall::get_option::<RawStatistics>(self.as_fd(), libc::SOL_PACKET, option::STATISTICS);
        let (since, _) = read.map_err(|source| self.refused("getsockopt(PACKET_STATISTICS)", source))?;
        self.statistics.add(since);
        Ok(self.statistics)
    }

    /// After [`Self::stop`]: true where all that was captured has been received.
    ///
    /// # Errors
    /// As [`Self::statistics`].
    pub fn is_drained(&mut self) -> Result<bool, Error> {
        let statistics = self.statistics()?;
        Ok(self.received + self.unreadable + statistics.drops >= statistics.packets)
    }

    /// The number of the group that it is a member of: further members name it.
    #[must_use]
    pub const fn fanout_group(&self) -> Option<u16> {
        self.fanout_group
    }

    /// Packets lent so far.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Packets that were not lent since a block's own offsets were not to be believed.
    #[must_use]
    pub const fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The interface.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    fn refused(&self, call: &'static str, source: io::Error) -> Error {
        Error::kernel(call, format!("interface {}", self.interface), source)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Version, direction and clock.
fn set_options(fd: BorrowedFd<'_>, options: &Options) -> Result<(), Error> {
    let set = |call, name, value: i32| {
        syscall::set_option(fd, libc::SOL_PACKET, name, &value)
            .map_err(|source| Error::kernel(call, format!("interface {}", options.interface), source))
    };
    set("setsockopt(PACKET_VERSION)", option::VERSION, VERSION_3)?;
    if options.ignore_outgoing {
        set("setsockopt(PACKET_IGNORE_OUTGOING)", option::IGNORE_OUTGOING, 1)?;
    }
    if options.device_timestamps {
        set("setsockopt(PACKET_TIMESTAMP)", option::TIMESTAMP, RAW_HARDWARE)?;
    }
    Ok(())
}

fn map_ring(fd: BorrowedFd<'_>, options: &Options) -> Result<Ring, Error> {
    let request = RingRequest {
        block_size: options.block_octets,
        blocks: options.blocks,
        frame_size: FRAME_OCTETS,
        frames: options.block_octets / FRAME_OCTETS * options.blocks,
        retire_milliseconds: options.retire_milliseconds,
        private_size: 0,
        features: 0,
    };
    let thing = || {
        format!(
            "interface {}, {} blocks of {} bytes",
            options.interface, options.blocks, options.block_octets
        )
    };
    syscall::set_option(fd, libc::SOL_PACKET, option::RX_RING, &request)
        .map_err(|source| Error::kernel("setsockopt(PACKET_RX_RING)", thing(), source))?;
    let (block, blocks) = (options.block_octets as usize, options.blocks as usize);
    let memory = Memory::of_socket(fd, block * blocks, 0)
        .map_err(|source| Error::kernel("mmap(PACKET_RX_RING)", thing(), source))?;
    let unusable = || Error::kernel("mmap(PACKET_RX_RING)", thing(), io::Error::other("unusable ring"));
    Ring::new(memory, block, blocks).ok_or_else(unusable)
}

/// From here on packets come, were the gate open.
fn bind(fd: BorrowedFd<'_>, interface: &Interface) -> io::Result<()> {
    let index = i32::try_from(interface.index()).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    syscall::bind(
        fd,
        &libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: index,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        },
    )
}
