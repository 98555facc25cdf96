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
//! verdict    lost, doubled, residual: 0, 0, 0, or why not
//! ```
#![allow(dead_code, reason = "the long run and the tests use a part of it each")]

mod broker;
mod cast;
mod disk;
pub(crate) mod oracle;
mod party;
pub(crate) mod schedule;
mod site;
pub(crate) mod store;
mod traffic;
mod verdict;

use std::time::{Duration, Instant};

use flow_wire::fault::Mutant;

use cast::Cast;
use schedule::{Event, What, Whom};
use traffic::Traffic;
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
    /// Probe and collector of a build that gets a step of the protocol wrong.
    pub(crate) mutant: Option<Mutant>,
}

/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_millis(20);

/// What can happen over a bus.
pub(crate) fn kinds(bus: Bus) -> Vec<(Whom, What)> {
    use What::{Cut, Fill, Kill, Pause, Stop};
    let mut kinds = vec![
        (Whom::Collector, Kill),
        (Whom::Collector, Stop),
        (Whom::Collector, Pause),
        (Whom::Collector, Cut),
        (Whom::Collector, Fill),
        (Whom::Probe, Kill),
        (Whom::Probe, Stop),
        (Whom::Probe, Pause),
        (Whom::Probe, Cut),
    ];
    if bus != Bus::Zmq {
        kinds.extend([Kill, Stop, Pause, Cut, Fill].map(|what| (Whom::Broker, what)));
    }
    kinds
}

/// Runs to its verdict. What happens is said to `progress`, a line each.
pub(crate) fn run(settings: &Settings, mut progress: impl FnMut(&str)) -> Verdict {
    let mut cast = Cast::new(settings);
    cast.start_all();
    let begin = Instant::now();
    let traffic = Traffic::start(&cast.site, settings.seed);
    play(&mut cast, &traffic, &settings.schedule, |number, event| {
        let (at, all) = (begin.elapsed().as_secs_f64(), settings.schedule.len());
        progress(&format!("{number:>4} of {all}, at {at:>7.1} s: {event}"));
    });
    let eventful = begin.elapsed();
    let sent = traffic.stop();
    progress(&format!("drain, at {:.1} s: {} rounds were sent", begin.elapsed().as_secs_f64(), sent.rounds));
    let books = cast.drain(&sent);
    Verdict::reach(settings, &mut cast, &sent, books, [eventful, begin.elapsed()])
}

/// Begins each event when it is due, and mends it when it has lasted; one at a time for each party.
fn play(cast: &mut Cast, traffic: &Traffic, schedule: &[Event], mut say: impl FnMut(usize, &Event)) {
    let mut open: Vec<(Instant, Event)> = Vec::new();
    let mut due = Instant::now();
    for (number, event) in (1..).zip(schedule) {
        due += event.after;
        while Instant::now() < due {
            mend(cast, traffic, &mut open, |until, _| until <= Instant::now());
            cast.look();
            std::thread::park_timeout(TICK);
        }
        mend(cast, traffic, &mut open, |_, other| other.whom == event.whom);
        say(number, event);
        cast.begin(event, traffic);
        // A mend may have taken long: what is due is counted from now on.
        due = Instant::now();
        open.push((due + event.lasts, *event));
    }
    while !open.is_empty() {
        mend(cast, traffic, &mut open, |until, _| until <= Instant::now());
        cast.look();
        std::thread::park_timeout(TICK);
    }
}

fn mend(
    cast: &mut Cast,
    traffic: &Traffic,
    open: &mut Vec<(Instant, Event)>,
    is_due: impl Fn(Instant, &Event) -> bool,
) {
    open.retain(|(until, event)| {
        let due = is_due(*until, event);
        if due {
            cast.mend(event, traffic);
        }
        !due
    });
}
