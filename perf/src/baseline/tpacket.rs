//! TPACKET_V3: blocks taken and given back.

use std::collections::BTreeMap;
use std::time::Duration;

use ::xsk::Interface;
use ::xsk::packet::{Options, Socket};
use flow_wire::ledger::Amount;

use super::window::{Error, Receiver};

/// One packet socket.
#[derive(Debug)]
pub struct Tpacket(Socket);

impl Tpacket {
    /// Opens and starts it, as the probe does: promiscuous, without what the host sends.
    ///
    /// # Errors
    /// As [`Socket::open`].
    pub fn open(interface: &Interface) -> Result<Self, Error> {
        let socket = Socket::open(&Options { promiscuous: true, ..Options::receiver(interface) })?;
        socket.start()?;
        Ok(Self(socket))
    }
}

impl Receiver for Tpacket {
    const WAY: &'static str = "tpacket";

    fn take(&mut self) -> Result<Amount, Error> {
        let lent = self.0.receive();
        let octets = lent.iter().map(|packet| u64::from(packet.original_octets)).sum();
        Ok(Amount { packets: lent.len() as u64, octets })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), Error> {
        self.0.wait(Some(timeout)).map(drop).map_err(Error::Poll)
    }

    fn drops(&mut self) -> Result<BTreeMap<String, u64>, Error> {
        let unreadable = self.0.unreadable();
        let statistics = self.0.statistics()?;
        Ok([
            ("ring_full".to_owned(), statistics.drops),
            ("unreadable".to_owned(), unreadable),
            ("freezes (explain ring_full)".to_owned(), statistics.freezes),
        ]
        .into())
    }
}
