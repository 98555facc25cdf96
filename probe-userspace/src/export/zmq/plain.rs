//! What plain subscribers get: three frames a message, once, and nobody says whether it arrived.

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::fault::{self, Hop};
use flow_wire::ledger::Discard;

use super::report::Reporter;
use super::subscribers::Subscribers;
use crate::export::copies;
use crate::export::outbox::Cursor;

/// The public topics.
pub(super) struct Plain {
    sink: String,
    prefix: String,
    pub(super) subscribers: Subscribers,
    /// Somebody listens to all topics.
    is_heard: bool,
    /// Somebody was sent flows here: losses are somebody's from then on.
    was_read: bool,
    reporter: Reporter,
}

impl Plain {
    pub(super) fn new(sink: String, prefix: &str) -> Self {
        let subscribers = Subscribers::of(prefix);
        let reporter = Reporter::new(sink.clone());
        Self { sink, prefix: prefix.to_owned(), subscribers, is_heard: false, was_read: false, reporter }
    }

    pub(super) fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// Tells a person from when on, and until when, somebody hears.
    pub(super) fn look(&mut self) {
        let is_heard =
            Kind::ALL.iter().all(|kind| self.subscribers.want(kind.topic(&self.prefix).as_bytes()));
        if is_heard != self.is_heard {
            self.is_heard = is_heard;
            let what = if is_heard { "a subscriber came" } else { "the last subscriber went" };
            tracing::info!(sink = self.sink, "{what}");
        }
    }

    /// Whether the terms of this cursor are of interest. Where batches go elsewhere (kept for stores, or read by ntopng) and nobody ever
    /// read here, that nobody did is no loss.
    pub(super) fn list(&self, cursor: &Cursor, go_elsewhere: bool) {
        cursor.set_listed(self.was_read || !go_elsewhere);
    }

    /// Books what became of a batch. `goes_elsewhere`: that nobody hears it here is worth no word.
    pub(super) fn settle(
        &mut self,
        socket: &::zmq::Socket,
        sealed: &Sealed,
        cursor: &Cursor,
        goes_elsewhere: bool,
    ) {
        let unsent = match self.publish(socket, sealed, cursor.number()) {
            Ok(()) => {
                self.was_read |= sealed.header.kind == Kind::Flows;
                return cursor.acknowledge(1);
            }
            Err(unsent) => unsent,
        };
        let reason = match unsent {
            Unsent::Unheard => Discard::NoSubscriber,
            Unsent::Unreadable(_) | Unsent::Socket(_) => Discard::RefusedByBus,
        };
        // Cumulative ledger messages that nobody heard cost nobody anything.
        if sealed.header.kind == Kind::Flows && (self.was_read || !goes_elsewhere) {
            self.reporter.lost(&unsent, sealed.header.rows);
        }
        cursor.discard(sealed.header.stamp, reason);
    }

    /// Sends it as this sink. What nobody wants is kept from the socket: a subscriber that it knows and we do not yet
    /// would get what is counted as lost.
    pub(super) fn publish(&self, socket: &::zmq::Socket, sealed: &Sealed, sink: u16) -> Result<(), Unsent> {
        let topic = sealed.header.kind.topic(&self.prefix);
        if !self.subscribers.want(topic.as_bytes()) {
            return Err(Unsent::Unheard);
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
            socket.send_multipart(frames, ::zmq::DONTWAIT)?;
        }
        Ok(())
    }
}

/// Why a batch did not go out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsent {
    /// Nobody has subscribed its topic.
    #[error("no subscriber")]
    Unheard,
    /// Nothing was ever sealed like that: it is not sent in another encoding.
    #[error("a batch cannot be read back: {0}")]
    Unreadable(String),
    /// libzmq did not take it.
    #[error("the socket refused: {0}")]
    Socket(#[from] ::zmq::Error),
}
