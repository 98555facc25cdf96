//! What every input has: a channel to the writer, a status for people, and a flag that says stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SendError, SyncSender, TrySendError};

use flow_wire::fault::{Fault, Hop, take};

use super::message::{Arrived, Content};
use super::receipt::Receipt;
use super::status::InputStatus;
use crate::store::Offset;

/// What an input tells the writer.
#[derive(Debug)]
pub enum Event {
    /// A message, whatever became of it; and whom to tell that it is committed.
    Message(Box<Arrived>, Option<Receipt>),
    /// All that was on the bus at this time, by this host's clock, has been sent before this.
    Drained(u64),
}

/// The way to the writer.
#[derive(Clone)]
pub struct Feed {
    input: usize,
    sender: SyncSender<(usize, Event)>,
    /// For people.
    pub status: Arc<InputStatus>,
}

/// A message that found the channel full.
#[derive(Debug)]
pub(super) struct Parked(Event);

/// The writer is gone: there is nobody to read for.
#[derive(Debug)]
pub struct Gone;

impl Feed {
    pub(super) fn new(input: usize, sender: SyncSender<(usize, Event)>, status: Arc<InputStatus>) -> Self {
        Self { input, sender, status }
    }

    /// Hands a message over; waits while the channel is full.
    pub(super) fn message(&self, arrived: Arrived) -> Result<(), Gone> {
        let arrived = self.count(arrived)?;
        self.send(Event::Message(Box::new(arrived), None))
    }

    /// Hands a message over, or gives it back where the channel is full: for [`Feed::retry`].
    pub(super) fn offer(&self, arrived: Arrived, receipt: Option<Receipt>) -> Result<Option<Parked>, Gone> {
        let arrived = self.count(arrived)?;
        self.retry(Parked(Event::Message(Box::new(arrived), receipt)))
    }

    /// Hands over what there was no room for.
    pub(super) fn retry(&self, parked: Parked) -> Result<Option<Parked>, Gone> {
        match self.sender.try_send((self.input, parked.0)) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full((_, event))) => Ok(Some(Parked(event))),
            Err(TrySendError::Disconnected(_)) => Err(Gone),
        }
    }

    /// Hands over what there was no room for; waits while there is none.
    pub(super) fn insist(&self, parked: Parked) -> Result<(), Gone> {
        self.send(parked.0)
    }

    /// In a build with faults: what came is counted, and then lost or handed over twice.
    fn count(&self, mut arrived: Arrived) -> Result<Arrived, Gone> {
        self.status.count_message();
        match take_of_flows(&arrived) {
            None => {}
            Some(Fault::Lose) => arrived.content = Content::Nothing,
            Some(Fault::Double) => {
                if let Content::Flows(batch) = &arrived.content {
                    let content = Content::Flows(batch.clone());
                    let again = Arrived { arrival: None, content, offset: None };
                    self.send(Event::Message(Box::new(again), None))?;
                }
            }
        }
        Ok(arrived)
    }

    /// Says how far a partition is where no message says it.
    pub(super) fn position(&self, offset: Offset) -> Result<(), Gone> {
        let arrived = Arrived { arrival: None, content: Content::Nothing, offset: Some(offset) };
        self.send(Event::Message(Box::new(arrived), None))
    }

    pub(super) fn drained(&self, at_nanoseconds: u64) -> Result<(), Gone> {
        self.send(Event::Drained(at_nanoseconds))
    }

    fn send(&self, event: Event) -> Result<(), Gone> {
        self.sender.send((self.input, event)).map_err(|SendError(_)| Gone)
    }
}

fn take_of_flows(arrived: &Arrived) -> Option<Fault> {
    match arrived.content {
        Content::Flows(_) => take(Hop::Ingest),
        _ => None,
    }
}

/// Set once; every thread looks at it between two messages.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks everybody to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// One end of a bus that is read.
pub trait Input: Send {
    /// Reads until it is told to stop, or the writer is gone. An error is one that waiting does not mend.
    fn run(self: Box<Self>, feed: Feed, stop: Stop) -> Result<(), Error>;
}

/// An input that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ZMQ refused the socket.
    #[error(
        "input {endpoint}: {cause} ({doing}); check the address, and whether another process has the port"
    )]
    Zmq {
        /// Which input.
        endpoint: String,
        /// What was tried.
        doing: &'static str,
        /// What libzmq says.
        cause: zmq::Error,
    },
    /// librdkafka refused the configuration.
    #[error("input {endpoint}: {cause}")]
    Kafka {
        /// Which input.
        endpoint: String,
        /// What librdkafka says.
        cause: rdkafka::error::KafkaError,
    },
}
