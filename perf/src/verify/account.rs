//! One sending, accounted for from generator to store.

use std::fmt;
use std::time::{Duration, Instant};

use flow_wire::ledger::Cause;
use serde::Serialize;

use super::metrics::Terms;
use super::server::{Error, Server};
use super::stored::Stored;

/// A probe says its books once a second; what was sent last is in them after two words at the latest.
const SETTLED: Duration = Duration::from_millis(2500);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// What became of what was sent. Packets all of them.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Handed to the kernel.
    pub sent: u64,
    /// Taken by the device: what the probe's device got.
    pub arrived: u64,
    /// By how much the probe's books grew.
    pub probe: Terms,
    /// By how much the store did, where a collector was asked.
    pub stored: Option<Stored>,
}

/// What an account comes to, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Packets that no term of the books explains.
    Unexplained,
    /// Packets lost, for reasons that are told.
    Loss,
    /// Every packet that arrived is in a flow, or was excepted for a reason; with a collector, it is stored.
    Pass,
}

/// The counters of both before anything is sent.
#[derive(Debug)]
pub struct Before {
    terms: Terms,
    stored: Option<Stored>,
}

impl Account {
    /// Reads both; to be called before sending.
    ///
    /// # Errors
    /// When one of them does not answer.
    pub fn begin(probe: &Server, collector: Option<&Server>) -> Result<Before, Error> {
        Ok(Before { terms: settled(probe)?, stored: collector.map(Stored::of).transpose()? })
    }

    /// Waits until the books stand still, and with a collector until everything that was metered is stored, for at most
    /// `patience`: flows are exported once they have ended.
    ///
    /// # Errors
    /// When one of them does not answer, or was started anew meanwhile.
    pub fn close(
        before: &Before,
        (sent, arrived): (u64, u64),
        (probe, collector): (&Server, Option<&Server>),
        patience: Duration,
    ) -> Result<Self, Error> {
        let until = Instant::now() + patience;
        let anew = |server: &Server| {
            server
                .wrong("", "with smaller counters than before: it was started anew, verify again".to_owned())
        };
        let mut terms = settled(probe)?.since(&before.terms).ok_or_else(|| anew(probe))?;
        let mut stored = None;
        if let (Some(collector), Some(before_stored)) = (collector, &before.stored) {
            loop {
                let now = Stored::of(collector)?.since(before_stored).ok_or_else(|| anew(collector))?;
                // Read again: what is discarded on its way is discarded later than it is metered.
                terms = Terms::of(probe)?.since(&before.terms).ok_or_else(|| anew(probe))?;
                let is_there = now.packets + terms.lost_after_meter() >= terms.metered;
                stored = Some(now);
                if is_there || Instant::now() >= until {
                    break;
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(Self { sent, arrived, probe: terms, stored })
    }

    /// Arrived at the device and never seen by the program in front of the sockets.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        self.arrived.saturating_sub(self.probe.seen)
    }

    /// Seen by the probe beyond what was sent here.
    #[must_use]
    pub fn of_others(&self) -> u64 {
        self.probe.seen.saturating_sub(self.arrived)
    }

    /// Seen, and neither in a flow, nor excepted, nor lost by any counter.
    #[must_use]
    pub fn unexplained(&self) -> u64 {
        let explained =
            self.probe.metered + self.probe.excepted_packets() + self.probe.lost_packets_before_meter();
        self.probe.residual.max(self.probe.seen.saturating_sub(explained))
    }

    /// Metered and not stored, beyond what the probe says it discarded; 0 where no collector was asked.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let came = |stored: &Stored| stored.packets + self.probe.lost_after_meter();
        self.stored.as_ref().map_or(0, |stored| self.probe.metered.saturating_sub(came(stored)))
    }

    /// What it comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let residual = self.stored.as_ref().map_or(0, |stored| stored.residual);
        if self.unexplained() > 0 || residual > 0 {
            Verdict::Unexplained
        } else if self.unseen() > 0 || self.probe.lost_packets() > 0 || self.missing() > 0 {
            Verdict::Loss
        } else {
            Verdict::Pass
        }
    }
}

/// The terms once they stand still.
fn settled(probe: &Server) -> Result<Terms, Error> {
    let mut last = Terms::of(probe)?;
    let mut since = Instant::now();
    let until = since + 4 * SETTLED;
    // On a link with traffic of others they never stand still.
    while since.elapsed() < SETTLED && Instant::now() < until {
        std::thread::sleep(LOOK);
        let now = Terms::of(probe)?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}

impl fmt::Display for Account {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = self.sent - self.arrived.min(self.sent);
        writeln!(to, "sent      {:>15}", grouped(self.sent))?;
        writeln!(
            to,
            "arrived   {:>15}{}",
            grouped(self.arrived),
            note(refused, "refused by the sending device")
        )?;
        writeln!(
            to,
            "seen      {:>15}{}{}",
            grouped(self.probe.seen),
            note(self.unseen(), "lost before the probe's program"),
            note(self.of_others(), "are of others")
        )?;
        for (reason, packets) in &self.probe.excepted {
            writeln!(to, "excepted  {:>15}  {reason}", grouped(*packets))?;
        }
        for (reason, packets) in &self.probe.lost {
            writeln!(to, "lost      {:>15}  {reason}: {}", grouped(*packets), knob(reason))?;
        }
        writeln!(
            to,
            "metered   {:>15}{}",
            grouped(self.probe.metered),
            note(self.unexplained(), "that no term explains")
        )?;
        if let Some(stored) = &self.stored {
            writeln!(
                to,
                "stored    {:>15}  in {} flows{}",
                grouped(stored.packets),
                grouped(stored.records),
                note(self.missing(), "are not there")
            )?;
        }
        write!(to, "verdict   {:>15}", self.verdict().word())
    }
}

impl Verdict {
    /// For people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unexplained => "UNEXPLAINED",
            Self::Loss => "LOSS",
            Self::Pass => "PASS",
        }
    }

    /// As `gannet-collector ledger --check` has them.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Unexplained => 3,
            Self::Loss => 4,
        }
    }
}

/// What a loss comes from, and what an operator turns to mend it.
fn knob(reason: &str) -> String {
    match Cause::named(reason) {
        Some(cause) => format!("{}; turn: {}", cause.why(), cause.knob()),
        None => "see the operator's guide for this reason".to_owned(),
    }
}

fn note(packets: u64, what: &str) -> String {
    if packets == 0 { String::new() } else { format!("  {} {what}", grouped(packets)) }
}

/// With commas between the thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn account() -> Account {
        let probe = Terms { seen: 100, metered: 90, exported: 90, ..Terms::default() };
        let lost = BTreeMap::from([("rx_ring_full".to_owned(), 10)]);
        Account { sent: 101, arrived: 100, probe: Terms { lost, ..probe }, stored: None }
    }

    #[test]
    fn a_loss_that_is_told_is_a_loss_and_one_that_is_not_is_unexplained() {
        let mut told = account();
        assert_eq!((told.verdict(), told.unexplained()), (Verdict::Loss, 0));
        told.probe.metered -= 1;
        assert_eq!((told.verdict(), told.unexplained()), (Verdict::Unexplained, 1));
    }

    #[test]
    fn everything_in_its_place_passes() {
        let mut whole = account();
        whole.probe.lost.clear();
        whole.probe.metered = 99;
        whole.probe.excepted.insert("passed.own".to_owned(), 1);
        assert_eq!(whole.verdict(), Verdict::Pass);
        whole.arrived = 101;
        assert_eq!((whole.verdict(), whole.unseen()), (Verdict::Loss, 1));
    }

    #[test]
    fn what_is_metered_must_be_stored_or_told_to_be_discarded() {
        let mut whole = account();
        whole.probe.lost = BTreeMap::from([("discarded.spool_quota".to_owned(), 7)]);
        whole.probe.metered = 100;
        whole.stored = Some(Stored { packets: 93, records: 3, lost: 7, residual: 0 });
        assert_eq!((whole.verdict(), whole.missing()), (Verdict::Loss, 0));
        whole.stored = Some(Stored { packets: 90, records: 3, lost: 7, residual: 0 });
        assert_eq!(whole.missing(), 3);
    }

    #[test]
    fn it_reads_like_a_table() {
        let text = account().to_string();
        assert!(text.contains("lost                   10  rx_ring_full: the worker came too late"), "{text}");
        assert!(text.ends_with("verdict              LOSS"), "{text}");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
