//! A receiver's loop, and the window of time in which it is measured.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flow_wire::ledger::Amount;

use super::report::{Placement, Report};
use super::threads;
use crate::kernel::thread;

/// One sleep at most, as the probe's worker: so that an end is noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);
/// A nap, and how soon packets have to come that are worth one: the probe's.
const NAP: Duration = Duration::from_micros(50);
const BRISK: Duration = Duration::from_micros(200);
/// The first packet comes within this: a generator makes its frames first.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a receiver does when nothing is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wait {
    /// Sleep in poll(2).
    Poll,
    /// The same; while packets keep coming, for a moment that nobody ends.
    Nap,
    /// Look again.
    Spin,
}

/// Takes packets and does nothing with them.
pub trait Receiver {
    /// As a report calls it.
    const WAY: &'static str;

    /// Takes what is there now, a burst at most, and gives it back.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn take(&mut self) -> Result<Amount, Error>;

    /// Sleeps until something may be there, or the time is over.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn wait(&mut self, timeout: Duration) -> Result<(), Error>;

    /// Packets that came and could not be taken, so far, by cause.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn drops(&mut self) -> Result<BTreeMap<String, u64>, Error>;
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call of this crate.
    #[error(transparent)]
    Kernel(#[from] crate::kernel::Error),
    /// One of the sockets'.
    #[error(transparent)]
    Socket(#[from] ::xsk::Error),
    /// Sleeping failed.
    #[error("ppoll: {0}")]
    Poll(std::io::Error),
    /// No packet came.
    #[error(
        "no packet came on {interface} within {PATIENCE:?}: is the generator sending, and the interface up?"
    )]
    Silence {
        /// Where.
        interface: String,
    },
}

/// When to measure.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Between the first packet and the window.
    pub warm_up: Duration,
    /// Its length.
    pub length: Duration,
}

/// What stands at one end of the window.
struct Reading {
    at: Instant,
    amount: Amount,
    drops: BTreeMap<String, u64>,
    own: Duration,
    busy: Duration,
    process: Duration,
    napi: Option<Duration>,
}

/// Receives until the window is over, and says what came in it.
///
/// # Errors
/// When the kernel refuses, or nothing comes.
pub fn run<R: Receiver>(
    receiver: &mut R,
    interface: &str,
    wait: Wait,
    window: Window,
) -> Result<Report, Error> {
    let napi = threads::napi_of(interface);
    let mut done = Done { amount: Amount::ZERO, busy: Duration::ZERO };
    receive(receiver, wait, &mut done, &mut |amount, waited| amount.packets > 0 || waited >= PATIENCE)?;
    if done.amount.packets == 0 {
        return Err(Error::Silence { interface: interface.to_owned() });
    }
    receive(receiver, wait, &mut done, &mut |_, waited| waited >= window.warm_up)?;
    let first = Reading::take(receiver, &done, &napi)?;
    receive(receiver, wait, &mut done, &mut |_, waited| waited >= window.length)?;
    let last = Reading::take(receiver, &done, &napi)?;
    let placement = Placement {
        receiver: threads::allowed_cpus(std::process::id()),
        napi: napi.into_iter().map(|(name, thread)| (name, threads::allowed_cpus(thread))).collect(),
    };
    let wait = match wait {
        Wait::Poll => "poll",
        Wait::Nap => "nap",
        Wait::Spin => "spin",
    };
    Ok(last.since(&first, (R::WAY, wait, interface), placement))
}

/// What came so far, and how long the turns took that found something: as the probe's turns, one ends when the next begins.
struct Done {
    amount: Amount,
    busy: Duration,
}

/// The loop. `over` is asked once a turn, with what came so far and how long this call has gone on.
fn receive<R: Receiver>(
    receiver: &mut R,
    wait: Wait,
    done: &mut Done,
    over: &mut impl FnMut(Amount, Duration) -> bool,
) -> Result<(), Error> {
    let start = Instant::now();
    let (mut began, mut moved) = (Duration::ZERO, false);
    let (mut brisk, mut lay_down) = (false, None);
    loop {
        let now = start.elapsed();
        if moved {
            done.busy += now - began;
        }
        if over(done.amount, now) {
            return Ok(());
        }
        let taken = receiver.take()?;
        done.amount += taken;
        (began, moved) = (now, taken.packets > 0);
        if moved {
            brisk = lay_down.take().map_or(brisk, |then| now - then < BRISK);
            continue;
        }
        brisk &= lay_down.replace(now).is_none();
        match wait {
            Wait::Spin => {}
            Wait::Nap if brisk => std::thread::sleep(NAP),
            Wait::Poll | Wait::Nap => receiver.wait(LONGEST_SLEEP)?,
        }
    }
}

impl Reading {
    fn take<R: Receiver>(receiver: &mut R, done: &Done, napi: &[(String, u32)]) -> Result<Self, Error> {
        let times = napi.iter().map(|(_, thread)| threads::cpu_time(*thread));
        Ok(Self {
            at: Instant::now(),
            amount: done.amount,
            busy: done.busy,
            drops: receiver.drops()?,
            own: thread::cpu_time(),
            process: threads::process_cpu_time(std::process::id()),
            napi: (!napi.is_empty()).then(|| times.sum::<Option<Duration>>()).flatten(),
        })
    }

    fn since(
        &self,
        first: &Self,
        (way, wait, interface): (&str, &str, &str),
        placement: Placement,
    ) -> Report {
        let seconds = (self.at - first.at).as_secs_f64();
        let packets = self.amount.packets - first.amount.packets;
        let own = (self.own - first.own).as_secs_f64();
        let drops = self.drops.iter().map(|(cause, now)| (cause.clone(), now - first.drops[cause]));
        Report {
            way: way.to_owned(),
            wait: wait.to_owned(),
            interface: interface.to_owned(),
            packets,
            shunted_packets: 0,
            octets: self.amount.octets - first.amount.octets,
            seconds,
            packets_per_second: packets as f64 / seconds,
            cpu_seconds: own,
            turn_seconds: Some((self.busy - first.busy).as_secs_f64()),
            // The scheduler's sum is a tick behind for the thread that runs, this one.
            process_cpu_seconds: own.max(self.process.saturating_sub(first.process).as_secs_f64()),
            napi_cpu_seconds: self.napi.zip(first.napi).map(|(now, then)| (now - then).as_secs_f64()),
            drops: drops.collect(),
            placement,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One packet each time it is asked.
    #[derive(Default)]
    struct Endless(u64);

    impl Receiver for Endless {
        const WAY: &'static str = "endless";

        fn take(&mut self) -> Result<Amount, Error> {
            self.0 += 1;
            Ok(Amount::one(60))
        }

        fn wait(&mut self, _: Duration) -> Result<(), Error> {
            Ok(())
        }

        fn drops(&mut self) -> Result<BTreeMap<String, u64>, Error> {
            Ok([("full".to_owned(), self.0 * 2)].into())
        }
    }

    /// One packet in eight times that it is asked, and it takes its time where there is none.
    #[derive(Default)]
    struct Seldom(u64);

    impl Receiver for Seldom {
        const WAY: &'static str = "seldom";

        fn take(&mut self) -> Result<Amount, Error> {
            self.0 += 1;
            if self.0.is_multiple_of(8) {
                return Ok(Amount::one(60));
            }
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(50) {}
            Ok(Amount::ZERO)
        }

        fn wait(&mut self, _: Duration) -> Result<(), Error> {
            Ok(())
        }

        fn drops(&mut self) -> Result<BTreeMap<String, u64>, Error> {
            Ok(BTreeMap::new())
        }
    }

    #[test]
    fn turns_that_find_nothing_are_not_busy() {
        let window = Window { warm_up: Duration::ZERO, length: Duration::from_millis(20) };
        let report = run(&mut Seldom::default(), "nowhere", Wait::Spin, window).unwrap();
        assert!(report.turn_seconds.unwrap() < report.seconds / 2.0, "{report:?}");
    }

    #[test]
    fn what_came_before_the_window_is_not_in_the_report() {
        let window = Window { warm_up: Duration::from_millis(20), length: Duration::from_millis(20) };
        let mut receiver = Endless::default();
        let report = run(&mut receiver, "nowhere", Wait::Poll, window).unwrap();
        assert!(report.packets > 0 && report.packets < receiver.0, "{report:?}");
        assert_eq!((report.octets, report.drops["full"]), (report.packets * 60, report.packets * 2));
        assert!(report.seconds >= 0.02 && report.napi_cpu_seconds.is_none(), "{report:?}");
        // Every turn found something.
        let turns = report.turn_seconds.unwrap();
        assert!(turns > 0.0 && turns <= report.seconds, "{report:?}");
    }
}
