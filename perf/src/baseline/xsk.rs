//! AF_XDP: receive and recycle.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ::xsk::socket::Options;
use ::xsk::umem::{self, FrameSize};
use ::xsk::{Burst, Interface, QueueId, Socket, Umem};
use flow_wire::ledger::Amount;

use super::window::{Error, Receiver};

/// One socket on queue 0.
#[derive(Debug)]
pub struct Xsk {
    socket: Socket,
    burst: Burst,
}

impl Xsk {
    /// Binds it with what a probe of one worker and one queue takes by default: rings of 16384 and 32768, frames of 2048 octets,
    /// ordinary pages. The XDP program is the caller's.
    ///
    /// # Errors
    /// As [`Socket::bind`].
    pub fn bind(interface: &Interface) -> Result<Self, Error> {
        let options = Options::receiver(interface, QueueId(0));
        let (frames, frame_size) = (options.fill_slots, FrameSize::Two);
        let umem = Umem::new(&umem::Options { frames, frame_size, headroom: 0, hugepages: false })?;
        let socket = Socket::bind(&umem, &options)?;
        Ok(Self { burst: socket.burst(), socket })
    }

    /// For the program's map of sockets.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The mode that the kernel serves it in.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        self.socket.mode().name()
    }
}

impl Receiver for Xsk {
    const WAY: &'static str = "xsk";

    fn take(&mut self) -> Result<Amount, Error> {
        let packets = self.socket.receive(&mut self.burst) as u64;
        let octets = self.burst.iter().map(|packet| u64::from(packet.octets())).sum();
        self.socket.give_back(&mut self.burst);
        Ok(Amount { packets, octets })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), Error> {
        self.socket.wait(Some(timeout)).map(drop).map_err(Error::Poll)
    }

    fn drops(&mut self) -> Result<BTreeMap<String, u64>, Error> {
        let statistics = self.socket.statistics()?;
        Ok([
            ("rx_ring_full".to_owned(), statistics.rx_ring_full),
            ("rx_dropped".to_owned(), statistics.rx_dropped),
            ("fill_empty (explains rx_dropped)".to_owned(), statistics.rx_fill_ring_empty),
        ]
        .into())
    }
}
