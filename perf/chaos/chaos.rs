//! Known traffic from a wire to the rows of a store, while things happen to everybody on the way; then a barrier, and a verdict
//! by two witnesses and by the books.
//!
//! ```text
//! schedule   seed ─► events: who, what, when, how long
//! site       namespaces, links that can be cut, disks that can be full
//! party      a process that is killed, stopped, stands still, and is started again; broker: Kafka
//! traffic    rounds of flows with keys of their own, known to the packet
//! cast       the parties of a run, and what each event does to them
//! store      what the store's files hold in the end
//! oracle     generator against rows; log of sealed batches against stored batches
//! tally      how much the wire had carried when
//! excuse     what a kill may cost, and no more
//! verdict    lost, doubled, residual: 0, 0, 0, or why not
//! ```
#![allow(dead_code, reason = "the long run and the tests use a part of it each")]

mod broker;
mod cast;
mod disk;
pub(crate) mod excuse;
pub(crate) mod oracle;
mod party;
pub(crate) mod schedule;
mod site;
pub(crate) mod store;
pub(crate) mod tally;
pub(crate) mod traffic;
mod verdict;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flow_wire::fault::Mutant;

use cast::{Cast, HTTP};
use schedule::{Event, What, Whom};
use tally::Tally;
use traffic::Traffic;
use verdict::Run;
pub(crate) use verdict::Verdict;

/// What batches go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Bus {
    Kafka,
    Zmq,
    /// The probe sends everything twice, and the collector takes whatever comes first.
    Both,
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) bus: Bus,
    /// Chooses the keys of the traffic.
    pub(crate) seed: u64,
    /// What happens.
    pub(crate) schedule: Vec<Event>,
    /// What is wrong on purpose.
    pub(crate) broken: Option<Broken>,
}

/// It must not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Probe and collector get this step of the protocol wrong.
    Step(Mutant),
    /// What a killed probe had metered is exported by nobody.
    NoRecovery,
}

impl Broken {
    /// By the word for it.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let all = Mutant::ALL.map(|mutant| (mutant.name(), Self::Step(mutant)));
        let all: Vec<_> = all.into_iter().chain([("no-recovery", Self::NoRecovery)]).collect();
        let known = all.iter().find(|(known, _)| *known == name).map(|(_, broken)| *broken);
        known.ok_or_else(|| {
            format!("there is none of that name: {:?}", all.iter().map(|(name, _)| name).collect::<Vec<_>>())
        })
    }
}

/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_millis(20);

/// What can happen over a bus.
pub(crate) fn kinds(bus: Bus) -> Vec<(Whom, What)> {
    use What::{Cut, Fill, Kill, KillAtRest, Pause, Stop};
    let mut kinds = vec![
        (Whom::Collector, Kill),
        (Whom::Collector, Stop),
        (Whom::Collector, Pause),
        (Whom::Collector, Cut),
        (Whom::Collector, Fill),
        (Whom::Probe, Kill),
        (Whom::Probe, KillAtRest),
        (Whom::Probe, Stop),
        (Whom::Probe, Pause),
        (Whom::Probe, Cut),
        (Whom::Probe, Fill),
    ];
    if bus != Bus::Zmq {
        kinds.extend([Kill, Stop, Pause, Cut, Fill].map(|what| (Whom::Broker, what)));
    }
    kinds
}

/// Begin to mended, of each event of a kind.
pub(crate) type Took = BTreeMap<(Whom, What), Vec<Duration>>;

/// Runs to its verdict. What happens is said to `progress`, a line each.
pub(crate) fn run(settings: &Settings, mut progress: impl FnMut(&str)) -> Verdict {
    let mut cast = Cast::new(settings);
    cast.start_all();
    let begin = Instant::now();
    let tally = Tally::start(&cast.site, HTTP.parse().expect("an address and a port"));
    let mut say = |what: &str| {
        let ([sent, stored], at) = (tally.so_far(), begin.elapsed().as_secs_f64());
        progress(&format!("{at:>6.1} s  sent {sent:>7}  stored {stored:>7}  {what}"));
    };
    let traffic = Traffic::start(&cast.site, settings.seed);
    let took = play(&mut cast, &traffic, &settings.schedule, |number, event| {
        say(&format!("{number:>3}/{}  {event}", settings.schedule.len()));
    });
    let eventful = begin.elapsed();
    let sent = traffic.stop();
    say("all is mended, nothing more is sent: drain");
    let books = cast.drain(&sent);
    say("drained");
    let run = Run { sent, carried: tally.finish(), took, eventful, all: begin.elapsed() };
    Verdict::reach(settings, &mut cast, run, books)
}

/// Begins each event when it is due, and mends it when it has lasted; one at a time for each party.
fn play(cast: &mut Cast, traffic: &Traffic, schedule: &[Event], mut say: impl FnMut(usize, &Event)) -> Took {
    let mut open: Vec<Open> = Vec::new();
    let mut took = Took::new();
    let mut due = Instant::now();
    for (number, event) in (1..).zip(schedule) {
        due += event.after;
        while Instant::now() < due {
            mend(cast, traffic, &mut open, &mut took, |open| open.until <= Instant::now());
            std::thread::park_timeout(TICK);
        }
        mend(cast, traffic, &mut open, &mut took, |open| open.event.whom == event.whom);
        say(number, event);
        let begin = Instant::now();
        cast.begin(event, traffic);
        // Begin and mend may have taken long: what is due is counted from now on.
        due = Instant::now();
        open.push(Open { begin, until: due + event.lasts, event: *event });
    }
    while !open.is_empty() {
        mend(cast, traffic, &mut open, &mut took, |open| open.until <= Instant::now());
        std::thread::park_timeout(TICK);
    }
    took
}

/// An event that lasts.
struct Open {
    begin: Instant,
    until: Instant,
    event: Event,
}

fn mend(
    cast: &mut Cast,
    traffic: &Traffic,
    open: &mut Vec<Open>,
    took: &mut Took,
    is_due: impl Fn(&Open) -> bool,
) {
    for Open { begin, event, .. } in open.extract_if(.., |open| is_due(open)) {
        cast.mend(&event, traffic);
        took.entry((event.whom, event.what)).or_default().push(begin.elapsed());
    }
}
