//! One store that acknowledges: who it is, whether it is there, and what is on the way to it.

use std::time::{Duration, Instant};

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::fault::{self, Hop};
use flow_wire::upstream::{Ack, CREDIT_MAX, Delivery, Hello, No, private_topic};
use uuid::Uuid;

use super::window::Window;
use crate::export::copies;
use crate::export::outbox::{Cursor, Next};

/// A store says HELLO once a second; one that has not for so long is away, and nothing is sent to it.
const AWAY_AFTER: Duration = Duration::from_secs(5);

/// Octets of batches that are on the way at once: what the slowest link that makes sense carries within a few seconds, and
/// no burden for a collector's memory.
const ON_THE_WAY_OCTETS: usize = 64 << 20;

/// One store.
pub(super) struct Store {
    pub(super) uuid: Uuid,
    pub(super) cursor: Cursor,
    topic: String,
    instance: Uuid,
    window: Window,
    credit: usize,
    /// Last HELLO; `None` = its subscription is gone since.
    heard: Option<Instant>,
    /// As it was when it was last looked at.
    was_here: bool,
    /// As its cursor knows it.
    is_attended: bool,
    /// Last sign of life of any kind: what a capture file's patience counts from.
    contact: Instant,
    /// The run does not wait for it any longer, for what waits is in the spool.
    pub(super) is_left: bool,
}

impl Store {
    /// As it introduces itself.
    pub(super) fn new(hello: &Hello, prefix: &str, cursor: Cursor, now: Instant) -> Self {
        Self {
            uuid: hello.store,
            cursor,
            topic: private_topic(prefix, hello.store),
            instance: hello.instance,
            window: Window::new(Uuid::new_v4(), now),
            credit: credit(hello.credit),
            heard: Some(now),
            was_here: true,
            is_attended: true,
            contact: now,
            is_left: false,
        }
    }

    /// Takes a HELLO; the session it is in. A new instance knows nothing of what was on the way to the former.
    pub(super) fn greet(&mut self, hello: &Hello, now: Instant) -> Result<Uuid, No> {
        let was_here = self.is_here(now);
        if hello.instance != self.instance {
            if was_here {
                return Err(No::Taken);
            }
            self.begin_anew(now);
            self.instance = hello.instance;
        } else if !was_here {
            self.window.rewind(now);
        }
        self.credit = credit(hello.credit);
        (self.heard, self.contact) = (Some(now), now);
        if std::mem::take(&mut self.is_left) {
            self.cursor.take_up();
        }
        Ok(self.window.session)
    }

    /// Takes an ACK; `false` = it cannot be true.
    pub(super) fn acknowledge(&mut self, ack: &Ack, now: Instant) -> bool {
        // One of a session that has ended comes late, and says nothing.
        if ack.session != self.window.session {
            return true;
        }
        let Some(committed) = self.window.acknowledge(ack, now) else { return false };
        self.cursor.acknowledge(committed);
        self.credit = credit(ack.credit);
        self.contact = now;
        true
    }

    /// Its subscription is gone: its connection is closed.
    pub(super) fn leave(&mut self) {
        self.heard = None;
    }

    pub(super) fn is_here(&self, now: Instant) -> bool {
        self.heard.is_some_and(|heard| now.duration_since(heard) < AWAY_AFTER)
    }

    /// Whether it has not been heard for too long since it was last looked at, though its connection seems to stand.
    pub(super) fn falls_silent(&mut self, now: Instant) -> bool {
        let is_here = self.is_here(now);
        let was_here = std::mem::replace(&mut self.was_here, is_here);
        was_here && !is_here && self.heard.is_some()
    }

    /// How long nothing was heard of it.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.duration_since(self.contact)
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Sends what there is and credit allows. `true` = nothing more is to be done for it: all that was ever sealed is
    /// committed, or it is away and the run is over.
    pub(super) fn pump(&mut self, socket: &::zmq::Socket, now: Instant) -> Result<bool, ::zmq::Error> {
        let is_here = self.is_here(now);
        if is_here != std::mem::replace(&mut self.is_attended, is_here) {
            self.cursor.set_attended(is_here);
        }
        if !is_here {
            // What is not handed can be counted as discarded; should it come back, it begins anew.
            if self.cursor.is_draining() {
                self.forget_on_the_way(now);
            }
            return Ok(self.cursor.is_ending());
        }
        let has_ended = self.fill();
        if self.window.is_overdue(now) {
            tracing::info!(store = %self.uuid, "what was on the way to the store did not arrive: it is sent again");
            self.window.rewind(now);
        }
        while let Some((number, sealed)) = self.window.send(now) {
            self.send(socket, number, &sealed)?;
        }
        Ok(has_ended && self.window.len() == 0)
    }

    /// Takes as many batches as credit allows; `true` = no more will come.
    fn fill(&mut self) -> bool {
        let room = self.credit.saturating_sub(self.window.len());
        let octets = ON_THE_WAY_OCTETS.saturating_sub(self.window.octets());
        if room == 0 || octets == 0 {
            return false;
        }
        match self.cursor.next(room, octets, Duration::ZERO) {
            Next::Batches(batches) => self.window.extend(batches),
            Next::Nothing => {}
            Next::End => return true,
        }
        false
    }

    fn send(&self, socket: &::zmq::Socket, number: u64, sealed: &Sealed) -> Result<(), ::zmq::Error> {
        let delivery = Delivery { session: self.window.session, number }.to_octets();
        // A sealed body is below BODY_OCTETS_MAX.
        let octets = u32::try_from(sealed.body.len()).unwrap_or(u32::MAX);
        let header = sealed.header.sent_by(self.cursor.number()).to_frame(octets);
        let times = match sealed.header.kind {
            Kind::Flows => copies(fault::take(Hop::Bus)),
            Kind::Ledger => 1,
        };
        for _ in 0..times {
            let frames: [&[u8]; 4] = [self.topic.as_bytes(), &delivery, &header, &sealed.body];
            socket.send_multipart(frames, ::zmq::DONTWAIT)?;
        }
        Ok(())
    }

    /// Forgets what is on the way, if anything is: an acknowledgement that comes late must not be taken for one of what is handed next.
    pub(super) fn forget_on_the_way(&mut self, now: Instant) {
        if self.window.len() > 0 {
            self.begin_anew(now);
        }
    }

    /// Forgets what is on the way: it is handed again.
    fn begin_anew(&mut self, now: Instant) {
        self.cursor.give_back();
        self.window = Window::new(Uuid::new_v4(), now);
    }
}

fn credit(said: u32) -> usize {
    said.min(CREDIT_MAX) as usize
}
