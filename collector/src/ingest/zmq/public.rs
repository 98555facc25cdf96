//! The public topics: what is read where nobody keeps batches for us, of a probe of ours or of somebody else.

use std::time::{Duration, Instant};

use flow_wire::bus::Kind;
use flow_wire::header::{self, Header};
use flow_wire::ntop::reader::{Frame, TOPICS};

use super::super::input::{Error, Gone};
use super::super::message::read;
use super::super::status::InputState;
use super::foreign::Sender;
use super::{ANSWER_MAX, BUSY_MILLISECONDS, Reader, socket};
use crate::store::Bus;

impl Reader<'_> {
    /// Where a publisher keeps nothing for us, its public topics are read; where it does not even answer, ntop's as well.
    pub(super) fn fall_back(&mut self, now: Instant) -> Result<(), Error> {
        let is_silent =
            self.link.connections() > self.sessions.len() && self.link.stands_for(ANSWER_MAX, now);
        let plain = is_silent || self.refusal.is_some();
        let foreign = is_silent && (self.refusal.is_none() || self.zmq.endpoint.collector_binds);
        if (self.is_plain || !plain) && (self.is_foreign || !foreign) {
            return Ok(());
        }
        let why = match (foreign, self.refusal) {
            (false, Some(no)) => no.mend(),
            _ => {
                "the publisher does not answer: it is none of ours (nProbe, netflow2ng), whose messages for ntopng are read, or its \
                 --topic-prefix is another one"
            }
        };
        tracing::warn!(
            input = self.zmq.name,
            "plain subscription, what is missed is lost and counted: {why}"
        );
        self.subscribe_public(true, self.is_foreign || foreign)
    }

    /// Says what is wanted of the public topics from now on, ours and ntop's.
    pub(super) fn subscribe_public(&mut self, plain: bool, foreign: bool) -> Result<(), Error> {
        let refused = |cause| self.zmq.refused("subscribe", cause);
        if plain != self.is_plain {
            for kind in Kind::ALL {
                socket::subscribe(&self.socket, &kind.topic(&self.zmq.prefix), plain).map_err(refused)?;
            }
        }
        if foreign != self.is_foreign {
            for topic in TOPICS {
                socket::subscribe(&self.socket, topic, foreign).map_err(refused)?;
            }
        }
        (self.is_plain, self.is_foreign) = (plain, foreign);
        Ok(())
    }

    pub(super) fn plain(&mut self, header: Result<Header, header::Error>, body: &[u8]) -> Result<(), Gone> {
        // Of a probe that sends it to us for certain, this is a copy.
        if header.as_ref().is_ok_and(|header| self.sessions.has(header.stamp.probe.0)) {
            return Ok(());
        }
        if self.sessions.len() == 0 {
            self.feed.status.set(InputState::Running, "receiving");
        }
        self.parked = self.feed.offer(read(Bus::Zmq, &self.zmq.name, header, body), None)?;
        Ok(())
    }

    /// A message for ntopng. What is still on the way once nobody subscribes them any more is a copy.
    pub(super) fn foreign(&mut self, header: &[u8], payload: &[u8], now: Instant) -> Result<(), Gone> {
        if !self.is_foreign {
            return match Frame::read(header) {
                Ok(_) => Ok(()),
                Err(_) => {
                    self.plain(Err(header::Error::FrameLength(payload.len())), &[header, payload].concat())
                }
            };
        }
        match self.foreign.take(header, payload, now) {
            Sender::Foreign => self.feed.status.set(
                InputState::Running,
                "receiving from a publisher that is none of ours: at most once, its losses are told by its numbers",
            ),
            Sender::Ours if self.sessions.len() == 0 && !self.is_stranger_said => {
                self.is_stranger_said = true;
                tracing::warn!(
                    input = self.zmq.name,
                    "a probe of ours publishes for ntopng here, which is not read; where nothing else comes of it, give its \
                     --topic-prefix"
                );
            }
            Sender::Ours => {}
        }
        Ok(())
    }

    /// What came of somebody else is stored, as far as there is time, and its books are closed: it will not send it again.
    pub(super) fn end_foreign(&mut self, until: Instant) -> Result<(), Gone> {
        // What libzmq holds back at the stop is lost, as all that comes later.
        let _ = self.drain();
        while Instant::now() < until {
            self.hand_over(Instant::now())?;
            match (&self.parked, self.backlog.is_empty() && self.foreign.is_empty()) {
                (Some(_), _) => std::thread::park_timeout(Duration::from_millis(BUSY_MILLISECONDS as u64)),
                (None, true) => break,
                (None, false) => {}
            }
        }
        self.foreign.close();
        if let Some(parked) = self.parked.take() {
            self.feed.insist(parked)?;
        }
        while let Some(arrived) = self.foreign.next() {
            self.feed.message(arrived)?;
        }
        Ok(())
    }
}
