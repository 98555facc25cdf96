//! All stores that acknowledge: who may, and what they say.
//!
//! ```text
//! HELLO ─► may it? ─► known? ─► Store: session, cursor ─► ANSWER on the private topic
//! ACK   ─► may it? ─► Store: window ─► cursor
//! ```

use std::time::{Duration, Instant};

use flow_wire::ledger::{Discard, Guarantee};
use flow_wire::stamp::ProbeId;
use flow_wire::upstream::{self, Ack, Answer, Hello, No, Upstream, private_topic};
use uuid::Uuid;

use super::Acknowledge;
use super::report::Noise;
use super::store::Store;
use crate::export::outbox::{Cursor, Next};

/// Stores for which batches are kept: a collector each, with some to spare. One that is away holds an outbox full of batches.
const STORES_MAX: usize = 8;

/// A store that was silent for so long makes room for another one, where there is no room left. Until then nobody else costs
/// it anything.
const FORGET_AFTER: Duration = Duration::from_secs(3_600);

/// Batches that are discarded in a row for a store that does not come back.
const DISCARD_BATCHES: usize = 64;

/// What the name of a cursor ends with until the first store has come.
const FIRST: &str = "first-store";

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// From this host.
    pub(super) is_local: bool,
    /// It has shown by CURVE that it has a key.
    pub(super) is_encrypted: bool,
}

/// What was given up with stores that did not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenUp {
    /// Batches that are gone.
    pub(super) discarded: usize,
    /// Records that stay in the spool.
    pub(super) left: u64,
}

/// All of them, of one sink.
pub(super) struct Stores {
    sink: String,
    prefix: String,
    probe: ProbeId,
    acknowledge: Acknowledge,
    stores: Vec<Store>,
    /// Batches are kept here for the first store before it has come.
    awaited: Option<Cursor>,
    /// The run does not wait for it any longer.
    is_awaited_left: bool,
    /// Stores of earlier runs for which the run does not end at once: by the names of their cursors. Those for which it does have
    /// theirs in the spool all the same.
    expected: Vec<(String, Cursor)>,
    noise: Noise,
}

impl Stores {
    pub(super) fn new(sink: String, prefix: &str, probe: ProbeId, acknowledge: Acknowledge) -> Self {
        let noise = Noise::new(sink.clone());
        Self {
            sink,
            prefix: prefix.to_owned(),
            probe,
            acknowledge,
            stores: Vec::new(),
            awaited: None,
            is_awaited_left: false,
            expected: Vec::new(),
            noise,
        }
    }

    /// Stores of earlier runs have their cursors in the spool; only where there is none, batches are kept for the first one to come, if
    /// that is wanted or an earlier run did so. `is_waited_for`: the run does not end before such stores have what is kept for them.
    pub(super) fn expect(&mut self, cursor: &Cursor, keeps_for_first: bool, is_waited_for: bool) {
        let first = self.cursor_of(FIRST);
        let mut known = cursor.outbox().kept_for_later(&self.cursor_of(""));
        let is_left_over = known.contains(&first);
        known.retain(|name| *name != first);
        if is_left_over || (keeps_for_first && known.is_empty()) {
            self.awaited = cursor.outbox().open_cursor(&first, Guarantee::AtLeastOnce);
        }
        if !known.is_empty() {
            // A second copy, which nobody would ever read.
            self.await_no_longer();
        }
        let open = |name: String| Some((cursor.outbox().open_cursor(&name, Guarantee::AtLeastOnce)?, name));
        let opened = known.into_iter().filter(|_| is_waited_for).filter_map(open);
        self.expected = opened.map(|(cursor, name)| (name, cursor)).collect();
    }

    /// Nobody came for whom they could have been kept.
    pub(super) fn await_no_longer(&mut self) {
        if let Some(cursor) = self.awaited.take() {
            cursor.withdraw_for(&self.cursor_of(""));
        }
    }

    /// Whether batches are kept for anybody: for a store that has not come back since an earlier run as well.
    pub(super) fn are_kept(&self, cursor: &Cursor) -> bool {
        let are_expected = || !cursor.outbox().kept_for_later(&self.cursor_of("")).is_empty();
        let have_come = !self.stores.is_empty() || !self.expected.is_empty();
        have_come || self.awaited.is_some() || (self.acknowledge != Acknowledge::Off && are_expected())
    }

    /// Whether a store has come.
    pub(super) fn have_come(&self) -> bool {
        !self.stores.is_empty()
    }

    /// Whether this store has come in this run.
    pub(super) fn knows(&self, store: Uuid) -> bool {
        self.stores.iter().any(|known| known.uuid == store)
    }

    /// Takes a message that is no subscription. The answer to it, with its topic.
    pub(super) fn hear(
        &mut self,
        message: &[u8],
        peer: Peer,
        cursor: &Cursor,
        now: Instant,
    ) -> Option<(String, Answer)> {
        match Upstream::read(message) {
            Ok(Upstream::Hello(hello)) => Some(self.hello(&hello, peer, cursor, now)),
            Ok(Upstream::Ack(ack)) => {
                self.ack(&ack, peer, now);
                None
            }
            Err(upstream::Error::Version { sender, .. }) => {
                let answer = Answer { probe: self.probe.0, instance: Uuid::nil(), session: Err(No::Version) };
                Some((private_topic(&self.prefix, sender), answer))
            }
            Err(error) => {
                self.noise.count(&error.to_string(), now);
                None
            }
        }
    }

    /// Nobody listens to this topic any more.
    pub(super) fn unsubscribed(&mut self, topic: &[u8]) {
        let gone = self.stores.iter_mut().find(|store| store.topic().as_bytes() == topic);
        if let Some(store) = gone {
            tracing::info!(sink = self.sink, store = %store.uuid, "the store's connection is closed: batches are kept for it");
            store.leave();
        }
    }

    /// Sends what credit allows to each. `true` = nothing more is to be done for any.
    pub(super) fn pump(&mut self, socket: &::zmq::Socket, now: Instant) -> bool {
        for store in self.stores.extract_if(.., |store| store.cursor.is_dropped()) {
            // Should it come all the same, it begins anew.
            tracing::info!(sink = self.sink, store = %store.uuid, "the store is forgotten: its cursor was dropped");
            store.cursor.withdraw();
        }
        let mut have_ended = true;
        for store in &mut self.stores {
            if store.falls_silent(now) {
                tracing::info!(sink = self.sink, store = %store.uuid, "the store is silent: batches are kept for it");
            }
            match store.pump(socket, now) {
                Ok(has_ended) => have_ended &= has_ended,
                // What was not taken is sent again after a while.
                Err(error) => self.noise.count(&format!("the socket refused a batch: {error}"), now),
            }
        }
        have_ended
    }

    /// Gives up stores that were silent for so long, and the awaited one: a capture file does not wait for ever. What waits for them stays
    /// in the spool, and they get it if they come all the same; where there is none it is discarded.
    pub(super) fn lose_patience(&mut self, patience: Duration, since: Instant, now: Instant) -> GivenUp {
        let mut sum = GivenUp::default();
        for store in self.stores.iter_mut().filter(|store| store.silence(now) >= patience) {
            store.forget_on_the_way(now);
            give_up(&store.cursor, &mut store.is_left, &mut sum);
        }
        if now.duration_since(since) >= patience {
            if let Some(cursor) = &self.awaited {
                give_up(cursor, &mut self.is_awaited_left, &mut sum);
            }
            self.expected.drain(..).for_each(|(_, cursor)| cursor.keep_for_later());
        }
        sum
    }

    /// A HELLO of a store that does not listen to the topic which would be its own.
    pub(super) fn count_deaf(&mut self, now: Instant) {
        let topic = format!("@{}.STORE", self.prefix);
        let what = format!(
            "a HELLO of a store that does not listen to {topic}: no batches are kept for it; give the collector the --topic-prefix of \
             this probe, '{}'",
            self.prefix
        );
        self.noise.count(&what, now);
    }

    /// Messages that were not believed.
    #[cfg(test)]
    pub(super) fn noise(&self) -> u64 {
        self.noise.messages()
    }

    fn hello(&mut self, hello: &Hello, peer: Peer, cursor: &Cursor, now: Instant) -> (String, Answer) {
        let session = self.permit(peer).and_then(|()| self.admit(hello, cursor, now));
        if let Err(no) = session {
            self.noise.count(&format!("a HELLO that was refused: {}", no.mend()), now);
        }
        let answer = Answer { probe: self.probe.0, instance: hello.instance, session };
        (private_topic(&self.prefix, hello.store), answer)
    }

    fn ack(&mut self, ack: &Ack, peer: Peer, now: Instant) {
        let is_permitted = self.permit(peer).is_ok();
        let store = self.stores.iter_mut().find(|store| store.uuid == ack.store);
        // Of a store that we do not know, it is left from a former run.
        if !is_permitted || !store.is_none_or(|store| store.acknowledge(ack, now)) {
            self.noise.count("an ACK that cannot be true, or of a peer that may not acknowledge", now);
        }
    }

    fn permit(&self, peer: Peer) -> Result<(), No> {
        match self.acknowledge {
            Acknowledge::Off => Err(No::Off),
            Acknowledge::Require => Ok(()),
            Acknowledge::Auto if peer.is_encrypted || peer.is_local => Ok(()),
            Acknowledge::Auto => Err(No::NotPermitted),
        }
    }

    fn admit(&mut self, hello: &Hello, cursor: &Cursor, now: Instant) -> Result<Uuid, No> {
        if let Some(store) = self.stores.iter_mut().find(|store| store.uuid == hello.store) {
            let was_here = store.is_here(now);
            let session = store.greet(hello, now)?;
            if !was_here {
                tracing::info!(sink = self.sink, store = %hello.store, "a subscriber came back: a store, which gets what was kept for it");
            }
            return Ok(session);
        }
        if self.stores.len() >= STORES_MAX && !self.forget(now) {
            return Err(No::TooManyStores);
        }
        let own = self.cursor_for(hello.store, cursor).ok_or(No::TooManyStores)?;
        let mut store = Store::new(hello, &self.prefix, own, now);
        let session = store.greet(hello, now)?;
        self.stores.push(store);
        tracing::info!(sink = self.sink, store = %hello.store, "a subscriber came: a store, for which batches are kept until it has acknowledged them");
        Ok(session)
    }

    /// Forgets the store that was silent longest; `false` = none was for long enough.
    fn forget(&mut self, now: Instant) -> bool {
        let silences = self.stores.iter().map(|store| store.silence(now));
        let longest = silences.enumerate().max_by_key(|(_, silence)| *silence);
        let Some((index, _)) = longest.filter(|(_, silence)| *silence >= FORGET_AFTER) else { return false };
        let store = self.stores.remove(index);
        tracing::error!(sink = self.sink, store = %store.uuid, "a store that did not come back is forgotten, and what was kept for it");
        store.cursor.withdraw();
        true
    }

    /// What waits for it since an earlier run, else what was kept for the first store, or a new one.
    fn cursor_for(&mut self, store: Uuid, cursor: &Cursor) -> Option<Cursor> {
        let name = self.cursor_of(&store.to_string());
        if let Some(index) = self.expected.iter().position(|(expected, _)| *expected == name) {
            return Some(self.expected.swap_remove(index).1);
        }
        match self.awaited.take() {
            Some(awaited) => {
                awaited.rename(&name);
                awaited.take_up();
                Some(awaited)
            }
            None => cursor.outbox().open_cursor(&name, Guarantee::AtLeastOnce),
        }
    }

    /// The name of a store's cursor; of no store's: what those of this sink begin with.
    fn cursor_of(&self, store: &str) -> String {
        format!("{}/{store}", self.sink)
    }
}

/// What waits is left to a later start, once; or discarded, each time.
fn give_up(cursor: &Cursor, is_left: &mut bool, sum: &mut GivenUp) {
    if *is_left {
        return;
    }
    match cursor.leave() {
        Some(records) => {
            *is_left = true;
            sum.left += records;
        }
        None => sum.discarded += discard_waiting(cursor),
    }
}

/// What waits now is not sent any more.
fn discard_waiting(cursor: &Cursor) -> usize {
    cursor.give_back();
    let mut count = 0;
    while let Next::Batches(batches) = cursor.next(DISCARD_BATCHES, usize::MAX, Duration::ZERO) {
        count += batches.len();
        for sealed in batches {
            cursor.discard(sealed.header.stamp, Discard::DrainTimeout);
        }
    }
    count
}
