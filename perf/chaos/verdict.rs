//! What came out.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::cast::{Books, Cast};
use super::excuse::{self, Shortfall};
use super::oracle::{self, Batches, Packets};
use super::schedule::{Whom, name};
use super::store::Stamp;
use super::tally::Carried;
use super::traffic::Sent;
use super::{Settings, Took, store};

/// How long a start of the probe may take until it meters: so long, and no longer, it is excused. A busy machine has room in it.
const START_MAX: Duration = Duration::from_secs(10);

/// What the harness itself knows of a run.
pub(crate) struct Run {
    pub(crate) sent: Sent,
    pub(crate) carried: Carried,
    pub(crate) took: Took,
    /// With events, and up to the verdict.
    pub(crate) eventful: Duration,
    pub(crate) all: Duration,
}

pub(crate) struct Verdict {
    settings: Settings,
    run: Run,
    /// Records and batches.
    stored: [u64; 2],
    pub(crate) packets: Packets,
    pub(crate) shortfall: Shortfall,
    pub(crate) batches: Batches,
    /// Batches that a kill may have cut off.
    cut_off_bound: usize,
    /// Of the books: packets nobody can account for, and those that are counted as lost.
    pub(crate) residual: u64,
    pub(crate) counted_lost: u64,
    /// Of the books: packets that the programs saw, and that they let pass while no probe ran.
    seen: u64,
    passed: u64,
    pub(crate) ledger: String,
    /// The slowest of each party, of those that take part.
    starts: Vec<(Whom, usize, Duration)>,
    /// Everything that should not be, a line or more each.
    pub(crate) wrong: Vec<String>,
}

impl Verdict {
    pub(super) fn reach(settings: &Settings, cast: &mut Cast, run: Run, books: Books) -> Self {
        let stored = store::read(&cast.site.disk(Whom::Collector).path().join("store"));
        let stored = stored.unwrap_or_else(|error| panic!("the store cannot be read: {error}"));
        let number = |pointer| books.ledger.pointer(pointer).and_then(Value::as_u64).unwrap_or(u64::MAX);
        let unheard = cast.excuses.unheard(&cast.probe.ready(), &run.carried);
        let parties = [
            (Whom::Probe, Some(&cast.probe)),
            (Whom::Broker, cast.broker.as_ref()),
            (Whom::Collector, Some(&cast.collector)),
        ];
        let starts = parties.into_iter().filter_map(|(whom, party)| Some((whom, party?)));
        let mut verdict = Self {
            settings: settings.clone(),
            stored: [stored.records, stored.batches.len() as u64],
            packets: oracle::packets(&run.sent.flows(), &stored.flows),
            shortfall: excuse::shortfall(&run.sent.0, &stored.flows, &unheard),
            batches: oracle::batches(&oracle::read(&cast.sealed()), &stored, cast.excuses.cut_off()),
            cut_off_bound: cast.excuses.cut_off().len(),
            residual: number("/residual/packets"),
            counted_lost: number("/lost/packets"),
            seen: books.total(|total| &total["seen"]["packets"]),
            passed: books.total(|total| &total["excepted"]["passed.no_socket"]),
            ledger: books.ledger["verdict"].as_str().unwrap_or("not there").to_owned(),
            starts: starts.map(|(whom, party)| (whom, party.starts.len(), party.slowest_start())).collect(),
            wrong: books.failures.clone(),
            run,
        };
        verdict.judge(&books);
        let parties = [Some(&mut cast.probe), cast.broker.as_mut(), Some(&mut cast.collector)];
        parties.into_iter().flatten().for_each(|party| verdict.wrong.append(&mut party.deaths));
        if !verdict.is_good() && settings.broken.is_none() {
            let folder = cast.keep();
            std::fs::write(folder.join("books.json"), format!("{:#}", books.ledger)).unwrap();
            verdict.wrong.push(format!("what everybody said lies in {}", folder.display()));
        }
        verdict
    }

    fn judge(&mut self, books: &Books) {
        let mut say = |is_wrong: bool, line: String| {
            if is_wrong {
                self.wrong.push(line);
            }
        };
        let (sent, carried) = (self.run.sent.packets(), self.run.carried.total());
        say(sent == 0, "nothing was sent".to_owned());
        say(sent != carried, format!("{sent} packets were sent, and the wire carried {carried}"));
        let Packets { doubled, uneven, .. } = self.packets;
        say(doubled > 0, format!("{doubled} packets are stored that nobody sent"));
        say(uneven > 0, format!("{uneven} flows have the packets, but not the octets that were sent"));
        let Shortfall { inexcusable, .. } = self.shortfall;
        say(inexcusable > 0, format!("{inexcusable} packets are lost that no kill excuses"));
        // What the books know is held against the witnesses: each packet was seen by a program, whoever's it was, and what no row
        // tells of is what they say passed, or was lost with a probe.
        let (seen, passed, counted) = (self.seen, self.passed, self.counted_lost);
        say(seen != carried, format!("the wire carried {carried} packets, and the programs saw {seen}"));
        let (lost, known) = (self.packets.lost, passed + counted);
        say(
            lost != known,
            format!(
                "{lost} packets are not stored, and the books know of {passed} that passed and {counted} lost"
            ),
        );
        let Batches { missing, wrong, .. } = &self.batches;
        say(
            !missing.is_empty(),
            format!("{} sealed batches are not stored: {}", missing.len(), first(missing)),
        );
        say(
            !wrong.is_empty(),
            format!("{} batches are stored that were not sealed so: {}", wrong.len(), first(wrong)),
        );
        for (whom, _, slowest) in self.starts.iter().filter(|(whom, ..)| *whom == Whom::Probe) {
            say(
                *slowest > START_MAX,
                format!("{whom:?}: a start took {slowest:.1?}, excused are {START_MAX:?}"),
            );
        }
        let balanced = books.code == 0 && self.ledger == "balanced";
        say(
            !balanced,
            format!("the books are {} (exit {}), at {}", self.ledger, books.code, books.ledger["hops"]),
        );
    }

    pub(crate) fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Epoch/stream/sequence of the first few.
fn first(stamps: &[Stamp]) -> String {
    const SHOWN: usize = 4;
    let shown =
        stamps.iter().take(SHOWN).map(|(epoch, stream, sequence)| format!("{epoch}/{stream}/{sequence}"));
    let more = (stamps.len() > SHOWN).then(|| "...".to_owned());
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table(f)?;
        let Self { settings: Settings { bus, seed, schedule, .. }, run, packets, shortfall, batches, .. } =
            self;
        let (bus, events) = (format!("{bus:?}").to_lowercase(), schedule.len());
        let (eventful, all) = (run.eventful.as_secs_f64(), run.all.as_secs_f64());
        writeln!(f, "bus {bus}, seed {seed}: {events} events in {eventful:.0} s, verdict after {all:.0} s")?;
        let (flows, sent, [records, stored]) = (run.sent.flows().len(), run.sent.packets(), self.stored);
        writeln!(f, "sent      {flows} flows, {sent} packets; stored {records} records in {stored} batches")?;
        let Shortfall { bound, excused, inexcusable } = shortfall;
        writeln!(
            f,
            "lost      {inexcusable} packets; besides {excused} that came while no probe metered, of at most {bound}"
        )?;
        writeln!(f, "doubled   {} packets; {} flows with other octets", packets.doubled, packets.uneven)?;
        let (missing, wrong) = (batches.missing.len(), batches.wrong.len());
        let (cut_off, cut_off_bound) = (batches.cut_off, self.cut_off_bound);
        writeln!(
            f,
            "batches   {missing} missing, {wrong} wrong; besides {cut_off} cut off by a kill, of at most {cut_off_bound}"
        )?;
        let Self { ledger, residual, counted_lost, seen, passed, .. } = self;
        writeln!(
            f,
            "books     {ledger}: residual {residual}; seen {seen}, passed while no probe ran {passed}, lost with one {counted_lost}"
        )?;
        self.wrong.iter().try_for_each(|line| writeln!(f, "WRONG: {line}"))?;
        write!(f, "{}", if self.is_good() { "PASS" } else { "FAIL" })
    }
}

impl Verdict {
    /// What happened how often, from its beginning until it was mended; and what starts took.
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20} {:>5} {:>8} {:>8}", "event", "times", "mean s", "most s")?;
        for ((whom, what), took) in &self.run.took {
            let most = took.iter().max().copied().unwrap_or_default().as_secs_f64();
            let mean = took.iter().sum::<Duration>().as_secs_f64() / took.len() as f64;
            writeln!(f, "{:<20} {:>5} {mean:>8.1} {most:>8.1}", name(*whom, *what), took.len())?;
        }
        // Of a broker it is not known: it says so in a file of its own.
        for (whom, times, slowest) in self.starts.iter().filter(|(.., slowest)| !slowest.is_zero()) {
            let line = format!("start {whom:?}").to_lowercase();
            writeln!(f, "{line:<20} {times:>5} {:>8} {:>8.1}", "", slowest.as_secs_f64())?;
        }
        Ok(())
    }
}
