//! The books of earlier starts: a message for each epoch that could not close its own, or of which batches still waited.
//!
//! ```text
//! newest message of the epoch + sums and cursors of the spool ─► message with `closes`, on the control stream of this epoch
//! ```

use std::collections::BTreeMap;

use flow_wire::ledger::{Amount, Closes, CursorTerms, Discard, Message, QueueTerms, StreamCut, WorkerTerms};
use flow_wire::stamp::{Epoch, StreamId};

use super::Identity;
use super::outbox::{Earlier, Outbox};

/// What has been said of earlier epochs.
#[derive(Debug, Default)]
pub(super) struct Closing {
    said: BTreeMap<Epoch, Vec<CursorTerms>>,
}

/// A message about an epoch, and where that stood.
pub(super) struct Due {
    pub(super) message: Message,
    earlier: Earlier,
}

impl Closing {
    /// The messages that are due: at the beginning, whenever the discards of a cursor have changed, and at the end if anything has; until
    /// they are said ([`Closing::is_said`]). Epochs that somebody else will close first (`is_pending`) have to wait.
    pub(super) fn due(
        &self,
        outbox: &Outbox,
        identity: &Identity,
        is_end: bool,
        is_pending: impl Fn(Epoch) -> bool,
    ) -> Vec<Due> {
        let mut messages = Vec::new();
        for earlier in outbox.earlier().into_iter().filter(|earlier| !is_pending(earlier.epoch.epoch)) {
            let is_due = match self.said.get(&earlier.epoch.epoch) {
                None => true,
                Some(said) if is_end => *said != earlier.cursors,
                Some(said) => discarded(said) != discarded(&earlier.cursors),
            };
            if is_due {
                messages.push(Due { message: message(&earlier, outbox, identity), earlier });
            }
        }
        messages
    }

    /// Its message is kept.
    pub(super) fn is_said(&mut self, due: Due) {
        self.said.insert(due.earlier.epoch.epoch, due.earlier.cursors);
    }
}

/// The last that an earlier epoch said, with its cursors as they stand now; `None` = the spool has nothing of it.
pub(super) fn newest(outbox: &Outbox, identity: &Identity, epoch: Epoch) -> Option<Message> {
    let earlier = outbox.earlier().into_iter().find(|earlier| earlier.epoch.epoch == epoch)?;
    let mut newest = said(&earlier, identity);
    newest.cursors = cursors(&newest, &earlier, &outbox.numbers());
    Some(newest)
}

fn said(earlier: &Earlier, identity: &Identity) -> Message {
    let newest = earlier.epoch.newest.as_ref().and_then(|sealed| Message::decode(&sealed.body).ok());
    newest.unwrap_or_else(|| unheard(identity))
}

fn discarded(cursors: &[CursorTerms]) -> Vec<(u16, StreamId, &BTreeMap<Discard, u64>)> {
    cursors.iter().map(|cursor| (cursor.number, cursor.stream, &cursor.discarded)).collect()
}

/// The books of one earlier epoch as they stand now.
fn message(earlier: &Earlier, outbox: &Outbox, identity: &Identity) -> Message {
    let mut message = said(earlier, identity);
    let is_bound = match message.closes {
        Some(closes) => closes.is_bound,
        None => !message.closed,
    };
    if !message.closed {
        let mut unread = unread(&message);
        let open = |cut: &StreamCut| close_worker(&mut message, cut, &mut unread);
        earlier.epoch.cuts.iter().for_each(open);
        lose_shunted(&mut message, unread);
    }
    message.cursors = cursors(&message, earlier, &outbox.numbers());
    message.cuts.clone_from(&earlier.epoch.cuts);
    message.tombstones.clear();
    message.closed = true;
    message.closes = Some(Closes { epoch: earlier.epoch.epoch, generation: earlier.generation, is_bound });
    message
}

/// Of an epoch that was killed before its first message.
fn unheard(identity: &Identity) -> Message {
    Message {
        version: Message::VERSION,
        exporter: identity.exporter.clone(),
        active_timeout_seconds: u32::try_from(identity.active_timeout.as_secs()).unwrap_or(u32::MAX),
        ..Message::default()
    }
}

/// Brings a worker's terms up to what was sealed of its stream. What was open in its last cut and has not been sealed since is lost; what
/// was sealed beyond it was in the shunt (`unread`, of which it takes its part), or was metered after that cut, by this worker, and came
/// through some queue. A bound, and said to be one: at least so much is lost, for what was sealed may have come later than what was open.
fn close_worker(message: &mut Message, cut: &StreamCut, unread: &mut Amount) {
    let index = message.workers.iter().position(|worker| worker.worker == cut.stream.0);
    let index = index.unwrap_or_else(|| {
        message.workers.push(WorkerTerms { worker: cut.stream.0, ..WorkerTerms::default() });
        message.workers.len() - 1
    });
    let worker = &mut message.workers[index];
    let open = worker.open + worker.in_record_ring;
    let since = less(cut.exported, worker.exported);
    let beyond = less(since, open);
    let merged = least(beyond, *unread);
    let later = less(beyond, merged);
    *unread = less(*unread, merged);
    worker.lost_at_crash += less(open, since);
    (worker.open, worker.in_record_ring, worker.open_flows) = (Amount::ZERO, Amount::ZERO, 0);
    (worker.exported, worker.records) = (cut.exported, cut.records);
    worker.shunt_merged += merged;
    worker.metered += later;
    worker.received += later;
    if later == Amount::ZERO {
        return;
    }
    if message.queues.is_empty() {
        message.queues.push(QueueTerms { interface: "unknown".to_owned(), ..QueueTerms::default() });
    }
    let queue = &mut message.queues[0];
    queue.received += later;
    queue.redirected += later;
    queue.seen += later;
    queue.offered = queue.offered.map(|offered| offered + later);
}

/// What the XDP program had counted of flows by the last message, and no worker had read.
fn unread(message: &Message) -> Amount {
    let counted = message.queues.iter().fold(Amount::ZERO, |sum, queue| sum + queue.shunt_counted);
    let merged = message.workers.iter().fold(Amount::ZERO, |sum, worker| sum + worker.shunt_merged);
    less(counted, merged)
}

/// What is left of it is in no batch that was sealed since: of which flows it was nobody knows any more.
fn lose_shunted(message: &mut Message, lost: Amount) {
    message.workers.iter_mut().for_each(|worker| worker.shunted_flows = 0);
    if let Some(worker) = message.workers.first_mut() {
        worker.shunt_merged += lost;
        worker.lost_at_crash += lost;
    }
}

/// Those of the spool as they stand now; those of other sinks as they stood, with what was sealed since as sent: nobody knows, and
/// on a bus without acknowledgement the gaps tell.
fn cursors(message: &Message, earlier: &Earlier, numbers: &[(String, u16)]) -> Vec<CursorTerms> {
    let mut all = earlier.cursors.clone();
    let is_kept = |sink: &str| earlier.cursors.iter().any(|cursor| cursor.sink == sink);
    for cursor in message.cursors.iter().filter(|cursor| !is_kept(&cursor.sink)) {
        let mut cursor = cursor.clone();
        let cut = earlier.epoch.cuts.iter().find(|cut| cut.stream == cursor.stream);
        let records = cut.map_or(cursor.records_out, |cut| cut.records);
        let known = numbers.iter().find(|(name, _)| *name == cursor.sink);
        cursor.number = known.map_or(0, |(_, number)| *number);
        cursor.acknowledged += cursor.in_spool + records.saturating_sub(cursor.records_out);
        (cursor.records_out, cursor.in_spool) = (records, 0);
        all.push(cursor);
    }
    all
}

fn least(one: Amount, other: Amount) -> Amount {
    Amount { packets: one.packets.min(other.packets), octets: one.octets.min(other.octets) }
}

fn less(one: Amount, other: Amount) -> Amount {
    Amount {
        packets: one.packets.saturating_sub(other.packets),
        octets: one.octets.saturating_sub(other.octets),
    }
}

#[cfg(test)]
mod tests;
