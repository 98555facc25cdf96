//! The brokerless bus: one XPUB socket, three frames a message.
//!
//! ```text
//! [ gannet.flow   ] [ header, 64 octets ] [ Arrow batch ]
//! [ gannet.ledger ] [ header, 64 octets ] [ JSON        ]
//! ```
//!
//! XPUB says who subscribes, so a batch that nobody wants is not sent, and counted as `no_subscriber`. It never says what
//! it drops for a subscriber that is slow (silently, at its high-water mark). So acknowledged means handed to a socket with
//! a subscriber here, the guarantee is at most once, and what else was lost is seen by the reader: sequences count on
//! whatever becomes of a batch, and the ledger message says where they stand.

mod report;
mod subscribers;

use std::time::{Duration, Instant};

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::endpoint;
use flow_wire::fault::{self, Hop};
use flow_wire::ledger::{Discard, Guarantee};

use super::outbox::{Cursor, Next};
use super::{Sink, copies};
use report::Reporter;
use subscribers::Subscribers;

/// Messages that the socket holds for each subscriber: half a minute at 10,000 flows a second, at most 90 MB.
pub const SEND_QUEUE_MESSAGES: i32 = 512;

/// Octets of a message that a peer may send here: subscriptions are prefixes of a topic.
const INCOMING_OCTETS_MAX: i64 = 1_024;

/// A peer that went without a word is given up, with what is queued for it, after 5 + 2 x 5 seconds. By TCP, never by
/// ZMTP's heartbeats: libzmq 4.3.4 answers a PING by `out_event` even where the connection has failed while the reader was
/// at its high-water mark, and that is an assertion (`!_io_error`) which would end the collector.
const KEEPALIVE_IDLE_SECONDS: i32 = 5;
const KEEPALIVE_INTERVAL_SECONDS: i32 = 5;
const KEEPALIVE_COUNT: i32 = 2;

/// Time that the socket gets to send what it holds when it is closed; below `FAREWELL` of the exporter.
const LINGER: Duration = Duration::from_millis(800);

/// Batches taken at once, and the time after which subscriptions are looked at though nothing is sent.
const TAKE_BATCHES: usize = 64;
const LOOK: Duration = Duration::from_millis(100);

/// Time that a capture file gives a collector to come: it connects anew ten times a second.
pub const PATIENCE_FOR_FILES: Duration = Duration::from_secs(5);

/// The publishing socket.
pub struct Zmq {
    name: String,
    prefix: String,
    socket: ::zmq::Socket,
    subscribers: Subscribers,
    /// Somebody listens to all topics.
    is_heard: bool,
    reporter: Reporter,
    patience: Duration,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The probe would connect to every address.
    #[error(
        "{0}: '*' is for the side that binds, and with a trailing c that is the collector: name its host"
    )]
    Anywhere(String),
    /// libzmq refused.
    #[error("{name}: {operation} failed: {error}{mend}")]
    Socket {
        /// The endpoint.
        name: String,
        /// What was tried.
        operation: &'static str,
        /// What libzmq said.
        error: ::zmq::Error,
        /// What to do.
        mend: &'static str,
    },
}

impl Zmq {
    /// Binds (or, with a trailing `c`, connects) the socket. Topics begin with the prefix.
    ///
    /// # Errors
    /// libzmq refuses: the port is taken, or the address is none of this host's.
    pub fn open(endpoint: &endpoint::Zmq, prefix: &str) -> Result<Self, Error> {
        let name = endpoint::Endpoint::Zmq(endpoint.clone()).to_string();
        if endpoint.collector_binds && endpoint.address.host == "*" {
            return Err(Error::Anywhere(name));
        }
        let is_ipv6 = endpoint.address.host.contains(':');
        let socket =
            socket(SEND_QUEUE_MESSAGES, is_ipv6).map_err(|error| failed(&name, "a socket", error))?;
        let transport = endpoint.transport();
        if endpoint.collector_binds {
            socket.connect(&transport).map_err(|error| failed(&name, "connecting", error))?;
        } else {
            socket.bind(&transport).map_err(|error| failed(&name, "binding", error))?;
        }
        Ok(Self::over(socket, name, prefix))
    }

    fn over(socket: ::zmq::Socket, name: String, prefix: &str) -> Self {
        let subscribers = Subscribers::of(Kind::ALL.map(|kind| kind.topic(prefix).into_bytes()));
        Self {
            reporter: Reporter::new(name.clone()),
            name,
            prefix: prefix.to_owned(),
            socket,
            subscribers,
            is_heard: false,
            patience: Duration::ZERO,
        }
    }

    /// Lets the first batch wait for a subscriber, at most so long. The network waits for nobody, but a capture file can:
    /// it would be over before a collector is there.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn wait_for_subscriber(&mut self) {
        let until = Instant::now() + self.patience;
        while !self.is_heard && Instant::now() < until {
            // An interrupted poll is as good as one that found nothing.
            let _ = self.socket.poll(::zmq::POLLIN, i64::from(milliseconds(LOOK)));
            self.listen();
        }
    }

    /// Takes what peers said, and tells a person from when on, and until when, somebody hears.
    fn listen(&mut self) {
        self.subscribers.read(&self.socket);
        let is_heard =
            Kind::ALL.iter().all(|kind| self.subscribers.want(kind.topic(&self.prefix).as_bytes()));
        if is_heard != self.is_heard {
            self.is_heard = is_heard;
            let what = if is_heard { "a subscriber came" } else { "the last subscriber went" };
            tracing::info!(sink = self.name, "{what}");
        }
    }

    /// Sends it as this sink. What nobody wants is kept from the socket: a subscriber that it knows and we do not yet
    /// would get what is counted as lost.
    fn publish(&mut self, sealed: &Sealed, sink: u16) -> Result<(), Unsent> {
        let topic = sealed.header.kind.topic(&self.prefix);
        if !self.subscribers.want(topic.as_bytes()) {
            self.listen();
            if !self.subscribers.want(topic.as_bytes()) {
                return Err(Unsent::Unheard);
            }
        }
        let times = match sealed.header.kind {
            Kind::Flows => copies(fault::take(Hop::Bus)),
            Kind::Ledger => 1,
        };
        // A sealed body is below BODY_OCTETS_MAX.
        let header =
            sealed.header.sent_by(sink).to_frame(u32::try_from(sealed.body.len()).unwrap_or(u32::MAX));
        for _ in 0..times {
            let frames: [&[u8]; 3] = [topic.as_bytes(), &header, &sealed.body];
            self.socket.send_multipart(frames, ::zmq::DONTWAIT)?;
        }
        Ok(())
    }

    /// Books what became of a batch.
    fn settle(&mut self, sealed: &Sealed, cursor: &Cursor) {
        let unsent = match self.publish(sealed, cursor.number()) {
            Ok(()) => return cursor.acknowledge(1),
            Err(unsent) => unsent,
        };
        let reason = match unsent {
            Unsent::Unheard => Discard::NoSubscriber,
            Unsent::Socket(_) => Discard::RefusedByBus,
        };
        // Cumulative ledger messages that nobody heard cost nobody anything.
        if sealed.header.kind == Kind::Flows {
            self.reporter.lost(&unsent, sealed.header.rows);
        }
        cursor.discard(sealed.header.stamp, reason);
    }
}

/// Why a batch did not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unsent {
    /// Nobody has subscribed its topic.
    #[error("no subscriber")]
    Unheard,
    /// libzmq did not take it.
    #[error("the socket refused: {0}")]
    Socket(#[from] ::zmq::Error),
}

impl Sink for Zmq {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtMostOnce
    }

    fn run(mut self: Box<Self>, cursor: Cursor) {
        self.wait_for_subscriber();
        loop {
            self.listen();
            let batches = match cursor.next(TAKE_BATCHES, usize::MAX, LOOK) {
                Next::Batches(batches) => batches,
                Next::Nothing => continue,
                Next::End => return,
            };
            batches.iter().for_each(|sealed| self.settle(sealed, &cursor));
        }
    }
}

/// One socket with a context of its own, so that its end waits for nothing but its own queue.
fn socket(queue_messages: i32, is_ipv6: bool) -> Result<::zmq::Socket, ::zmq::Error> {
    let socket = ::zmq::Context::new().socket(::zmq::XPUB)?;
    socket.set_sndhwm(queue_messages)?;
    socket.set_linger(milliseconds(LINGER))?;
    socket.set_maxmsgsize(INCOMING_OCTETS_MAX)?;
    socket.set_tcp_keepalive(1)?;
    socket.set_tcp_keepalive_idle(KEEPALIVE_IDLE_SECONDS)?;
    socket.set_tcp_keepalive_intvl(KEEPALIVE_INTERVAL_SECONDS)?;
    socket.set_tcp_keepalive_cnt(KEEPALIVE_COUNT)?;
    socket.set_ipv6(is_ipv6)?;
    Ok(socket)
}

fn failed(name: &str, operation: &'static str, error: ::zmq::Error) -> Error {
    let mend = match error {
        ::zmq::Error::EADDRINUSE => ": another process has this port; end it, or choose another port",
        ::zmq::Error::EADDRNOTAVAIL | ::zmq::Error::ENODEV => {
            ": this host has no such address; zmq://*:PORT binds all it has"
        }
        ::zmq::Error::EACCES => ": ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    };
    Error::Socket { name: name.to_owned(), operation, error, mend }
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
