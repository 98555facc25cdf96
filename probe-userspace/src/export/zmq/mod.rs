//! The brokerless bus: one XPUB socket that serves plain subscribers and stores that acknowledge, on one URL.
//!
//! ```text
//!                          ┌─► plain: [ gannet.flow   ] [ header ] [ Arrow batch ]      who subscribes, once
//! outbox ─► cursor ────────┤          [ gannet.ledger ] [ header ] [ JSON        ]
//!        ├► cursor ────────┼─► ntop:  [ flow.., header  ] [ TLV or JSON          ]      who subscribes, once
//!        └► cursor a store ┴─► store: [ @gannet.STORE ] [ delivery ] [ header ] [ body ] until it says: committed
//! socket ─► subscriptions, HELLO, ACK (`flow_wire::upstream`) ─► subscribers, stores
//! ```
//!
//! XPUB says who subscribes, so a batch that nobody wants is not sent, and counted as `no_subscriber`. It never says what
//! it drops for a subscriber that is slow (silently, at its high-water mark). So to plain subscribers acknowledged means
//! handed to a socket with a subscriber here, and the guarantee is at most once. A store says itself what it has: it gets
//! credit below the high-water mark, and what it has not committed is sent again, under the stamp that its set knows.

mod curve;
pub mod ntop;
mod plain;
mod report;
mod socket;
mod store;
mod stores;
mod subscribers;
mod window;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use flow_wire::endpoint;
use flow_wire::ledger::Guarantee;
use flow_wire::stamp::ProbeId;
use flow_wire::upstream::{Answer, Hello, Upstream};

use super::Sink;
use super::outbox::{Cursor, Next};
use curve::{Curve, Gate};
use ntop::Ntop;
use plain::Plain;
use socket::milliseconds;
use stores::{GivenUp, Peer, Stores};

pub use curve::{Plan as Encryption, ReaderKey};
pub use socket::{Error, SEND_QUEUE_MESSAGES};

/// Batches taken at once, and the time after which peers are heard though nothing is sent.
const TAKE_BATCHES: usize = 64;
const LOOK: Duration = Duration::from_millis(100);

/// While the end is waited for, or credit: an acknowledgement is what comes next.
const LOOK_OFTEN: Duration = Duration::from_millis(10);

/// Messages of peers that are read in a row before batches have their turn again: more than an honest peer says in an hour.
const READ_MESSAGES: usize = 65_536;

/// Time that stores get to acknowledge the last message; below `FAREWELL` of the exporter, and above the time after which a
/// collector commits.
const LAST: Duration = Duration::from_millis(1_200);

/// Time that a capture file gives a collector to come: it connects anew ten times a second.
pub const PATIENCE_FOR_FILES: Duration = Duration::from_secs(5);

/// Time that a capture file gives a collector to come when ntopng has: both connect anew ten times a second.
const COMPANY: Duration = Duration::from_secs(1);

/// Time that a capture file gives a store that is away, or that must come: as long as a Kafka broker.
pub const PATIENCE_FOR_STORES: Duration = Duration::from_secs(60);

/// Whether batches are kept until a store has acknowledged them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// From the first batch on, for the first store to come; by whoever says HELLO.
    Require,
    /// From a store's first HELLO on, if it is encrypted or of this host.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// How a sink is to be opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// First part of the topics' names.
    pub prefix: String,
    /// Who we are.
    pub probe: ProbeId,
    /// See there.
    pub acknowledge: Acknowledge,
    /// `None` = in the clear.
    pub encryption: Option<Encryption>,
    /// The input can wait: captures, not interfaces.
    pub is_patient: bool,
    /// How ntopng is spoken to.
    pub ntop: ntop::Options,
}

/// The publishing socket.
pub struct Zmq {
    name: String,
    socket: ::zmq::Socket,
    is_encrypted: bool,
    gate: Option<Gate>,
    plain: Plain,
    ntop: Ntop,
    stores: Stores,
    acknowledge: Acknowledge,
    /// How long the first batch waits for a reader, and any batch for a store that is away; `None` = not at all.
    patience: Option<(Duration, Duration)>,
}

impl Zmq {
    /// Binds (or, with a trailing `c`, connects) the socket.
    ///
    /// # Errors
    /// libzmq refuses: the port is taken, or the address is none of this host's. Keys are not what they should be.
    pub fn open(endpoint: &endpoint::Zmq, options: &Options) -> Result<Self, Error> {
        let name = endpoint::Endpoint::Zmq(endpoint.clone()).to_string();
        let curve = options.encryption.as_ref().map(Encryption::read).transpose()?;
        let (socket, gate) = socket::open(endpoint, &name, curve.as_ref())?;
        Ok(Self::over(socket, gate, curve.as_ref(), name, options))
    }

    fn over(
        socket: ::zmq::Socket,
        gate: Option<Gate>,
        curve: Option<&Curve>,
        name: String,
        options: &Options,
    ) -> Self {
        Self {
            plain: Plain::new(name.clone(), &options.prefix),
            ntop: Ntop::new(&name, ntop::source(options.probe.0, &name), &options.ntop),
            stores: Stores::new(name.clone(), &options.prefix, options.probe, options.acknowledge),
            name,
            socket,
            is_encrypted: curve.is_some(),
            gate,
            acknowledge: options.acknowledge,
            patience: options.is_patient.then_some((PATIENCE_FOR_FILES, PATIENCE_FOR_STORES)),
        }
    }

    /// Lets the first batch wait for a reader. The network waits for nobody, but a capture file can: it would be over before
    /// a collector is there.
    fn wait_for_reader(&mut self, cursor: &Cursor) {
        let Some((patience, _)) = self.patience else { return };
        let mut until = Instant::now() + patience;
        let mut is_heard = false;
        while !(self.plain.is_heard() || self.stores.have_come()) && Instant::now() < until {
            self.wait(LOOK);
            self.listen(cursor);
            // ntopng has come: a collector that was started with it gets a moment more, or the file would be over for it.
            if !is_heard && self.is_heard_by_ntop() {
                is_heard = true;
                until = until.min(Instant::now() + COMPANY);
            }
        }
        if self.acknowledge == Acknowledge::Auto {
            self.stores.await_no_longer();
        }
    }

    fn is_heard_by_ntop(&self) -> bool {
        self.ntop.is_heard(&self.plain.subscribers)
    }

    /// Takes what peers said, and answers.
    fn listen(&mut self, cursor: &Cursor) {
        let now = Instant::now();
        if let Some(refused) = self.gate.as_mut().map(Gate::answer).filter(|refused| *refused > 0) {
            tracing::warn!(
                sink = self.name,
                refused,
                "clients whose key is not on the list of --zmq-clients"
            );
        }
        for _ in 0..READ_MESSAGES {
            let Ok(mut message) = self.socket.recv_msg(::zmq::DONTWAIT) else { break };
            match message.first() {
                Some(0) => {
                    self.stores.unsubscribed(&message[1..]);
                    self.plain.subscribers.take(&message);
                }
                Some(1) | None => self.plain.subscribers.take(&message),
                Some(_) => {
                    let peer = self.peer(&mut message);
                    if self.is_deaf(&message) {
                        self.stores.count_deaf(now);
                    } else if let Some((topic, answer)) = self.stores.hear(&message, peer, cursor, now) {
                        self.answer(&topic, &answer);
                    }
                }
            }
        }
        self.plain.look();
    }

    /// Whether a store introduces itself that would hear nothing of what it is sent. Of one that is known the connection may be told of as
    /// closed by anybody.
    fn is_deaf(&self, message: &[u8]) -> bool {
        let is_heard =
            |hello: &Hello| self.stores.knows(hello.store) || self.plain.subscribers.has_store(hello.store);
        matches!(Upstream::read(message), Ok(Upstream::Hello(hello)) if !is_heard(&hello))
    }

    fn peer(&self, message: &mut ::zmq::Message) -> Peer {
        let address = message.gets("Peer-Address").and_then(|address| address.parse::<IpAddr>().ok());
        let is_local = address.is_some_and(|address| address.to_canonical().is_loopback());
        Peer { is_local, is_encrypted: self.is_encrypted }
    }

    /// A store whose answer is lost says HELLO again.
    fn answer(&self, topic: &str, answer: &Answer) {
        let octets = answer.to_octets();
        let frames: [&[u8]; 2] = [topic.as_bytes(), &octets];
        let _ = self.socket.send_multipart(frames, ::zmq::DONTWAIT);
    }

    /// Until a peer says something. An interrupted wait is as good as one that found nothing.
    fn wait(&self, time: Duration) {
        let _ = self.socket.poll(::zmq::POLLIN, i64::from(milliseconds(time)));
    }

    /// One turn for who acknowledges nothing; `true` = nothing more will come.
    fn publish(&mut self, cursor: &Cursor, time: Duration) -> bool {
        let go_elsewhere = self.go_elsewhere(cursor);
        self.plain.list(cursor, go_elsewhere);
        let is_over = match cursor.next(TAKE_BATCHES, usize::MAX, time) {
            Next::Batches(batches) => {
                for sealed in batches {
                    self.plain.settle(&self.socket, &sealed, cursor, go_elsewhere);
                }
                false
            }
            Next::Nothing => false,
            Next::End => true,
        };
        let is_ntop_over = self.ntop.publish(&self.socket, &self.plain.subscribers, TAKE_BATCHES);
        self.plain.list(cursor, self.go_elsewhere(cursor));
        is_over && is_ntop_over
    }

    /// Whether batches have other readers than plain subscribers.
    fn go_elsewhere(&self, cursor: &Cursor) -> bool {
        self.stores.are_kept(cursor) || self.ntop.was_read || self.is_heard_by_ntop()
    }

    fn lose_patience(&mut self, begun: Instant, now: Instant) {
        let Some((_, patience)) = self.patience else { return };
        let GivenUp { discarded, left } = self.stores.lose_patience(patience, begun, now);
        let (sink, seconds) = (&self.name, patience.as_secs());
        if discarded > 0 {
            tracing::error!(
                sink,
                batches = discarded,
                "no store came for {seconds} s: what waited for it is gone, and counted as drain_timeout"
            );
        }
        if left > 0 {
            tracing::warn!(
                sink,
                records = left,
                "no store came for {seconds} s: what waits stays in the spool, and goes out at the next start with this state \
                 directory"
            );
        }
    }
}

impl Sink for Zmq {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtMostOnce
    }

    fn opens_cursors(&self) -> bool {
        self.acknowledge != Acknowledge::Off
    }

    fn prepare(&mut self, cursor: &Cursor) {
        self.ntop.prepare(cursor);
        let is_patient = self.patience.is_some();
        match self.acknowledge {
            Acknowledge::Require => self.stores.expect(cursor, true, is_patient),
            Acknowledge::Auto => self.stores.expect(cursor, is_patient, false),
            Acknowledge::Off => {}
        }
    }

    fn run(mut self: Box<Self>, cursor: Cursor) {
        let begun = Instant::now();
        self.wait_for_reader(&cursor);
        let mut last: Option<Instant> = None;
        loop {
            self.listen(&cursor);
            self.ntop.speak(&self.socket, &self.plain.subscribers, Instant::now());
            let is_over = self.publish(&cursor, if last.is_some() { Duration::ZERO } else { LOOK });
            let now = Instant::now();
            let have_ended = self.stores.pump(&self.socket, now);
            self.lose_patience(begun, now);
            if !is_over {
                continue;
            }
            if last.is_none() {
                self.ntop.farewell(&self.socket, &self.plain.subscribers);
            }
            if have_ended || now.duration_since(*last.get_or_insert(now)) >= LAST {
                return;
            }
            self.wait(LOOK_OFTEN);
        }
    }
}

#[cfg(test)]
mod tests;
