//! The in-band ledger message: workers' cuts, queues, streams and cursors of one moment.

use std::sync::Arc;

use flow_wire::batch::Sealed;
use flow_wire::ledger::{Message, StreamCut, WorkerTerms};
use flow_wire::stamp::{Sequence, Stamp, StreamId};

use super::outbox::Outbox;
use super::stream::Stream;
use super::{Books, Identity};
use crate::worker::{Cut, Stage};

/// Completes a worker's cut with what the exporter knows of its stream. The open batch was sealed at the cut, so nothing
/// of it is between ring and batch.
pub(super) fn complete(cut: &mut Cut, stream: &Stream, outbox: &Outbox) {
    let sealed = stream.cut();
    let worker: &mut WorkerTerms = &mut cut.worker;
    worker.exported = sealed.exported;
    worker.records = sealed.records;
    for (reason, amount) in stream.discarded() {
        *worker.discarded.entry(*reason).or_default() += *amount;
    }
    if let Some(stages) = &mut cut.stages {
        // Nobody else has it yet: nothing is copied.
        let stages = Arc::make_mut(stages);
        stages.put(Stage::Seal, stream.seal_times().clone());
        if let Some(times) = outbox.acknowledge_times(stream.cut().stream) {
            stages.put(Stage::Acknowledge, times);
        }
    }
}

/// The control stream: it has no rows, and its own sequence.
pub(super) struct Control {
    identity: Identity,
    next: Sequence,
}

impl Control {
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, next: Sequence(0) }
    }

    /// The cursors are read first, for they are furthest downstream; then the queues, whose counters run on.
    pub(super) fn compose(
        &self,
        cuts: &[Cut],
        streams: Vec<StreamCut>,
        outbox: &Outbox,
        books: &mut dyn Books,
        time_nanoseconds: u64,
        closed: bool,
    ) -> Message {
        let cursors = outbox.terms();
        Message {
            version: Message::VERSION,
            exporter: self.identity.exporter.clone(),
            epoch_start_nanoseconds: self.identity.epoch_start_nanoseconds,
            time_nanoseconds,
            active_timeout_seconds: u32::try_from(self.identity.active_timeout.as_secs()).unwrap_or(u32::MAX),
            queues: books.queues(cuts),
            workers: cuts.iter().map(|cut| cut.worker.clone()).collect(),
            cursors,
            cuts: streams,
            closed,
            ..Message::default()
        }
    }

    /// Seals it. A message that cannot be sealed (thousands of queues) is reported; its sequence is not used up.
    pub(super) fn seal(&mut self, message: &Message) -> Option<Arc<Sealed>> {
        let stamp = Stamp {
            probe: self.identity.probe,
            epoch: self.identity.epoch,
            stream: StreamId::CONTROL,
            sequence: self.next,
        };
        match Sealed::ledger(message, stamp) {
            Ok(sealed) => {
                self.next.0 += 1;
                Some(Arc::new(sealed))
            }
            Err(error) => {
                tracing::error!(%error, "the ledger message of this second is not sent");
                None
            }
        }
    }
}
