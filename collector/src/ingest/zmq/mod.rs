//! ZMQ: an XSUB socket on the probe's XPUB, which reads and says what it has stored.
//!
//! ```text
//! HELLO each second ─► probe ─► ANSWER: welcome ─► batches of the session, in order ─► writer ─► committed ─► ACK
//!                          ├──► a refusal ─► the public topics: once, and a gap in the sequences is a loss
//!                          └──► none ─► ntop's topics as well: a publisher that is none of ours (`foreign`)
//! ```
//!
//! What a message has: topic, header frame, body; in a session a delivery frame before the header; of somebody else two frames.

mod backlog;
mod foreign;
mod keys;
mod link;
mod public;
mod session;
mod socket;

use std::time::{Duration, Instant};

use flow_wire::endpoint::{self, Endpoint};
use flow_wire::header::{self, Header};
use flow_wire::upstream::{Answer, CREDIT_MAX, Downstream, Hello, No, private_topic};
use uuid::Uuid;

use super::input::{Error, Feed, Gone, Input, Parked, Stop};
use super::message::read;
use super::status::InputState;
use crate::store::Bus;
use backlog::{Backlog, FRAMES_MAX, Raw, receive};
use foreign::Foreign;
use keys::Curve;
use link::{Link, Trouble};
use session::Sessions;

pub use keys::{Keys, KeysError};

/// So often it says who it is: what it says may be lost, and the probe holds it for gone after five times this.
const HELLO_EVERY: Duration = Duration::from_secs(1);

/// So often it says how far it is, where that is new: a message for each batch would be as many as there are batches.
const ACK_EVERY: Duration = Duration::from_millis(20);

/// Time that a publisher gets to answer. Another one than a probe of ours does not.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How long it waits for messages before it looks what is committed, and whether to stop.
const POLL_MILLISECONDS: i64 = 50;

/// The same while the writer has no room.
const BUSY_MILLISECONDS: i64 = 5;

/// Messages read off the socket in a row, before one is looked into.
const READ_MESSAGES: usize = 4_096;

/// Messages that are looked into in a row: netflow2ng sends one for each flow.
const LOOK_MESSAGES: usize = 64;

/// A peer that does not go through the handshake is connected to anew: libzmq gives such a one up for ever.
const ANEW_AFTER: Duration = Duration::from_secs(5);

/// At the stop: time for the last commit, so that the probe hears of it.
const SETTLE_MAX: Duration = Duration::from_secs(3);

/// Topic, header, body.
const PLAIN_FRAMES: usize = 3;

/// Of somebody else: header, payload.
const FOREIGN_FRAMES: usize = 2;

/// One publisher.
pub struct Zmq {
    endpoint: endpoint::Zmq,
    name: String,
    prefix: String,
    store: Uuid,
    curve: Option<Curve>,
}

impl Zmq {
    /// Inert until run. `store` is the UUID of the store, under which a probe keeps batches.
    ///
    /// # Errors
    /// There are keys, and none of them is for this endpoint.
    pub fn new(
        endpoint: endpoint::Zmq,
        prefix: &str,
        store: Uuid,
        keys: Option<&Keys>,
    ) -> Result<Self, KeysError> {
        let name = Endpoint::Zmq(endpoint.clone()).to_string();
        let curve = keys.map(|keys| keys.of(&name)).transpose()?;
        Ok(Self { endpoint, name, prefix: prefix.to_owned(), store, curve })
    }

    fn refused(&self, doing: &'static str, cause: zmq::Error) -> Error {
        Error::Zmq { endpoint: self.name.clone(), doing, cause }
    }

    fn open(&self) -> Result<(zmq::Socket, Link), Error> {
        let topic = private_topic(&self.prefix, self.store);
        socket::open(&self.endpoint, self.curve.as_ref(), &topic)
            .map_err(|(doing, cause)| self.refused(doing, cause))
    }

    /// For people: why nobody is reached, and what mends it.
    fn mend(&self, trouble: Trouble) -> String {
        match (&self.curve, trouble) {
            (Some(curve), Trouble::Refused) => format!(
                "the probe refuses our key: add the key in {} to the list of its --zmq-clients",
                curve.public.display()
            ),
            (Some(curve), Trouble::NoHandshake) => format!(
                "the probe does not understand us: it is not encrypted (--zmq-encryption), or its key is not the one in \
                 --zmq-encryption-key, or the key in {} is not on the list of its --zmq-clients",
                curve.public.display()
            ),
            (None, _) => "the peer does not understand us: where the probe is encrypted, give --zmq-encryption-key FILE with its \
                          zmq-key.pub; else something other than ZMQ has this port"
                .to_owned(),
        }
    }
}

impl Input for Zmq {
    fn run(self: Box<Self>, feed: Feed, stop: Stop) -> Result<(), Error> {
        let side = if self.endpoint.collector_binds {
            "bound, waiting for a probe"
        } else {
            "waiting for the probe"
        };
        feed.status.set(InputState::Waiting, side);
        let mut reader = Reader::new(&self, feed)?;
        while !stop.is_set() {
            if reader.turn(Instant::now())?.is_err() {
                return Ok(());
            }
            reader.wait();
        }
        reader.settle();
        Ok(())
    }
}

/// A running input.
struct Reader<'a> {
    zmq: &'a Zmq,
    socket: zmq::Socket,
    link: Link,
    feed: Feed,
    sessions: Sessions,
    backlog: Backlog,
    foreign: Foreign,
    parked: Option<Parked>,
    hello: Hello,
    private: String,
    greeted: Option<Instant>,
    acknowledged: Instant,
    /// The public topics are subscribed.
    is_plain: bool,
    /// And ntop's.
    is_foreign: bool,
    /// A probe of ours that is read as none of ours was warned of.
    is_stranger_said: bool,
    /// Why there is no session, as the probe said last.
    refusal: Option<No>,
    trouble: Option<(Trouble, Instant)>,
}

impl<'a> Reader<'a> {
    fn new(zmq: &'a Zmq, feed: Feed) -> Result<Self, Error> {
        let (socket, link) = zmq.open()?;
        let hello = Hello { store: zmq.store, instance: Uuid::new_v4(), credit: CREDIT_MAX };
        Ok(Self {
            zmq,
            socket,
            link,
            feed,
            sessions: Sessions::new(zmq.store, CREDIT_MAX),
            backlog: Backlog::default(),
            foreign: Foreign::new(&zmq.name, zmq.store),
            parked: None,
            hello,
            private: private_topic(&zmq.prefix, zmq.store),
            greeted: None,
            acknowledged: Instant::now(),
            is_plain: false,
            is_foreign: false,
            is_stranger_said: false,
            refusal: None,
            trouble: None,
        })
    }

    fn turn(&mut self, now: Instant) -> Result<Result<(), Gone>, Error> {
        if self.link.observe(now) {
            // A new peer hears at once who is there; what the former one said of itself need not hold.
            (self.greeted, self.refusal, self.trouble) = (None, None, None);
        }
        self.watch(now)?;
        self.speak(now);
        self.fall_back(now)?;
        self.drain()?;
        let handed = self.hand_over(now);
        self.foreign.turn(now);
        Ok(handed)
    }

    /// Looks whether somebody is there who does not understand us.
    fn watch(&mut self, now: Instant) -> Result<(), Error> {
        let Some(trouble) = self.link.trouble(now) else { return Ok(()) };
        if self.trouble.is_none_or(|(known, _)| known != trouble) {
            let sentence = self.zmq.mend(trouble);
            tracing::error!(input = self.zmq.name, "{sentence}");
            self.feed.status.set(InputState::Waiting, sentence);
            self.trouble = Some((trouble, now));
        }
        let since = self.trouble.map_or(now, |(_, since)| since);
        if now.duration_since(since) >= ANEW_AFTER && !self.zmq.endpoint.collector_binds {
            (self.socket, self.link) = self.zmq.open()?;
            (self.is_plain, self.is_foreign) = (false, false);
            (self.greeted, self.trouble) = (None, Some((trouble, now)));
        }
        Ok(())
    }

    /// HELLO once a second, and what is new of the sessions; with each HELLO all of it, since anything may have been lost.
    fn speak(&mut self, now: Instant) {
        let is_time = self.greeted.is_none_or(|greeted| now.duration_since(greeted) >= HELLO_EVERY);
        if is_time {
            self.greeted = Some(now);
            self.say(&self.hello.to_octets());
        }
        if is_time || now.duration_since(self.acknowledged) >= ACK_EVERY {
            self.acknowledged = now;
            self.sessions.acks(is_time).iter().for_each(|ack| self.say(&ack.to_octets()));
        }
    }

    /// What is not sent is said again.
    fn say(&self, octets: &[u8]) {
        let _ = self.socket.send(octets, zmq::DONTWAIT);
    }

    /// Empties the socket: see `backlog`.
    fn drain(&mut self) -> Result<(), Error> {
        let before = self.backlog.dropped;
        for _ in 0..READ_MESSAGES {
            match receive(&self.socket) {
                Ok(Some(raw)) => self.backlog.push(raw),
                Ok(None) => break,
                Err(cause) => return Err(self.zmq.refused("receive", cause)),
            }
        }
        if before == 0 && self.backlog.dropped > 0 {
            tracing::error!(
                input = self.zmq.name,
                "messages come faster than they can be stored: some are lost, and counted"
            );
        }
        Ok(())
    }

    /// A few messages, where the writer has room.
    fn hand_over(&mut self, now: Instant) -> Result<(), Gone> {
        if let Some(parked) = self.parked.take() {
            self.parked = self.feed.retry(parked)?;
        }
        for _ in 0..LOOK_MESSAGES {
            if self.parked.is_some() {
                break;
            }
            if let Some(arrived) = self.foreign.next() {
                self.parked = self.feed.offer(arrived, None)?;
            } else if let Some(raw) = self.backlog.pop() {
                self.look_into(&raw, now)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    fn look_into(&mut self, raw: &Raw, now: Instant) -> Result<(), Gone> {
        let frames: Vec<&[u8]> = raw.frames.iter().map(|frame| &**frame).collect();
        let is_private = frames.first().is_some_and(|topic| *topic == self.private.as_bytes());
        match (is_private, frames.as_slice()) {
            (true, [_, answer]) => {
                if let Ok(Downstream::Answer(answer)) = Downstream::read(answer) {
                    self.answered(&answer, now);
                }
                Ok(())
            }
            (true, [_, delivery, header, body]) if raw.count == FRAMES_MAX => {
                let Ok(Downstream::Delivery(delivery)) = Downstream::read(delivery) else { return Ok(()) };
                let Some(receipt) = self.sessions.take(delivery) else { return Ok(()) };
                self.feed.status.set(InputState::Running, "receiving, and acknowledging what is stored");
                let arrived = read(Bus::Zmq, &self.zmq.name, Header::from_frame(header, body), body);
                self.parked = self.feed.offer(arrived, Some(receipt))?;
                Ok(())
            }
            (true, _) => Ok(()),
            (false, [header, payload]) if raw.count == FOREIGN_FRAMES => self.foreign(header, payload, now),
            (false, [_, header, body]) if raw.count == PLAIN_FRAMES => {
                self.plain(Header::from_frame(header, body), body)
            }
            (false, frames) => {
                let length = frames.get(1).map_or(0, |frame| frame.len());
                self.plain(Err(header::Error::FrameLength(length)), &frames.concat())
            }
        }
    }

    fn answered(&mut self, answer: &Answer, now: Instant) {
        if let Err(No::Version) = answer.session {
            self.refusal = Some(No::Version);
        }
        if answer.instance != self.hello.instance {
            return;
        }
        match answer.session {
            Ok(session) => {
                self.sessions.welcome(answer.probe, session, now);
                self.refusal = None;
                // Where others may connect as well, one of them may need the public topics.
                if (self.is_plain || self.is_foreign) && !self.zmq.endpoint.collector_binds {
                    // It is tried again with the next answer.
                    let _ = self.subscribe_public(false, false);
                }
            }
            Err(no) => {
                self.sessions.refuse(answer.probe);
                self.refusal = Some(no);
            }
        }
    }

    fn wait(&self) {
        let time = match (self.backlog.is_empty() && self.foreign.is_empty(), &self.parked) {
            (true, None) => POLL_MILLISECONDS,
            (false, None) => return,
            (_, Some(_)) => BUSY_MILLISECONDS,
        };
        // An interrupted wait is as good as one that found nothing.
        let _ = self.socket.poll(zmq::POLLIN, time);
    }

    /// What the writer has is committed within a second: the probe need not send it again.
    fn settle(mut self) {
        let until = Instant::now() + SETTLE_MAX;
        if self.is_foreign && self.end_foreign(until).is_err() {
            return;
        }
        while !self.sessions.are_settled() && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(POLL_MILLISECONDS as u64));
        }
        for ack in self.sessions.acks(true) {
            self.say(&ack.to_octets());
        }
    }
}
