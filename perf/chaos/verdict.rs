//! What came out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::cast::{Books, Cast};
use super::oracle::{self, Batches, Packets};
use super::schedule::{What, Whom};
use super::traffic::Sent;
use super::{Settings, store};

pub(crate) struct Verdict {
    settings: Settings,
    /// How often what happened.
    events: BTreeMap<(Whom, What), usize>,
    /// With events, and up to the verdict.
    durations: [Duration; 2],
    /// Flows and packets.
    sent: [u64; 2],
    /// Records and batches.
    stored: [u64; 2],
    pub(crate) packets: Packets,
    pub(crate) batches: Batches,
    /// Of the books: packets nobody can account for, and those that are counted as lost.
    pub(crate) residual: u64,
    pub(crate) counted_lost: u64,
    /// Packets that may be lost, since a probe was killed.
    exposed: u64,
    pub(crate) ledger: String,
    /// Everything that should not be, a line or more each.
    pub(crate) wrong: Vec<String>,
}

impl Verdict {
    pub(super) fn reach(
        settings: &Settings,
        cast: &mut Cast,
        sent: &Sent,
        books: Books,
        durations: [Duration; 2],
    ) -> Self {
        let mut events = BTreeMap::new();
        settings.schedule.iter().for_each(|event| *events.entry((event.whom, event.what)).or_default() += 1);
        let stored = store::read(&cast.site.disk(Whom::Collector).path().join("store"));
        let stored = stored.unwrap_or_else(|error| panic!("the store cannot be read: {error}"));
        let number = |pointer| books.ledger.pointer(pointer).and_then(Value::as_u64).unwrap_or(u64::MAX);
        let mut verdict = Self {
            settings: settings.clone(),
            events,
            durations,
            sent: [sent.flows.len() as u64, sent.packets],
            stored: [stored.records, stored.batches.len() as u64],
            packets: oracle::packets(&sent.flows, &stored.flows),
            batches: oracle::batches(&cast.site.file("sealed"), &stored),
            residual: number("/residual/packets"),
            counted_lost: number("/lost/packets"),
            exposed: cast.exposed_packets(),
            ledger: books.ledger["verdict"].as_str().unwrap_or("not there").to_owned(),
            wrong: books.failures.clone(),
        };
        verdict.judge(&books);
        let parties = [Some(&mut cast.probe), cast.broker.as_mut(), Some(&mut cast.collector)];
        parties.into_iter().flatten().for_each(|party| verdict.wrong.append(&mut party.deaths));
        if !verdict.is_good() && settings.mutant.is_none() {
            verdict.wrong.push(format!("what everybody said lies in {}", cast.keep().display()));
        }
        verdict
    }

    fn judge(&mut self, books: &Books) {
        let Packets { lost, doubled, uneven } = self.packets;
        let killed = self.events.contains_key(&(Whom::Probe, What::Kill));
        let mut say = |is_wrong: bool, line: String| {
            if is_wrong {
                self.wrong.push(line);
            }
        };
        say(self.sent[1] == 0, "nothing was sent".to_owned());
        say(doubled > 0, format!("{doubled} packets are stored that nobody sent"));
        say(uneven > 0, format!("{uneven} flows have the packets, but not the octets that were sent"));
        let counted = self.counted_lost;
        say(lost != counted && !killed, format!("{lost} packets are lost, the books say {counted}"));
        say(lost > self.exposed, format!("{lost} packets are lost, at most {} were exposed", self.exposed));
        let Batches { missing, wrong, cut_off, .. } = &self.batches;
        say(!missing.is_empty(), format!("{} sealed batches are not stored: {missing:?}", missing.len()));
        say(
            *cut_off > 0 && !killed,
            format!("{cut_off} last batches are not stored, and no probe was killed"),
        );
        say(
            !wrong.is_empty(),
            format!("{} batches are stored that were not sealed so: {wrong:?}", wrong.len()),
        );
        let balanced = books.code == 0 && self.ledger == "balanced";
        say(!balanced, format!("the books are {} (exit {}): {:#}", self.ledger, books.code, books.ledger));
    }

    pub(crate) fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { bus, seed, .. } = &self.settings;
        let [eventful, all] = self.durations.map(|duration| duration.as_secs_f64());
        let word = |word: &dyn fmt::Debug| format!("{word:?}").to_lowercase();
        let events: Vec<_> = self
            .events
            .iter()
            .map(|((whom, what), times)| format!("{} {} {times}", word(what), word(whom)))
            .collect();
        let total: usize = self.events.values().sum();
        writeln!(
            f,
            "bus {}, seed {seed}: {total} events in {eventful:.0} s, verdict after {all:.0} s",
            word(&bus)
        )?;
        writeln!(f, "events: {}", events.join(", "))?;
        let ([flows, packets], [records, batches]) = (self.sent, self.stored);
        writeln!(
            f,
            "sent: {flows} flows, {packets} packets; stored: {records} records in {batches} batches"
        )?;
        writeln!(
            f,
            "lost {} packets (counted {}, exposed {}), doubled {}, uneven {}; batches missing {}, cut off {}, wrong {}; residual {}, books {}",
            self.packets.lost,
            self.counted_lost,
            self.exposed,
            self.packets.doubled,
            self.packets.uneven,
            self.batches.missing.len(),
            self.batches.cut_off,
            self.batches.wrong.len(),
            self.residual,
            self.ledger,
        )?;
        self.wrong.iter().try_for_each(|line| writeln!(f, "WRONG: {line}"))?;
        write!(f, "{}", if self.is_good() { "PASS" } else { "FAIL" })
    }
}
