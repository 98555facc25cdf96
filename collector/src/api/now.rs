//! Traffic now: differences between the cumulative counters that probes send once a second.

use flow_wire::stamp::{Epoch, ProbeId};
use serde::Serialize;

use super::Problem;
use crate::query::time::SECOND;
use crate::query::words::Words;
use crate::reconcile::{State, state};
use crate::store::{EpochBooks, Reader, Second, StoreTerms};

const SECONDS_DEFAULT: u32 = 120;
/// As long as the store keeps them.
const SECONDS_MAX: u32 = 3_600;

/// Body of `/api/v1/now`.
#[derive(Debug, Serialize)]
pub(super) struct Now {
    time_nanoseconds: u64,
    probes: Vec<Probe>,
}

#[derive(Debug, Serialize)]
struct Probe {
    probe_id: ProbeId,
    epoch: Epoch,
    exporter: Option<String>,
    state: State,
    last_heard_nanoseconds: u64,
    seconds: Vec<Difference>,
}

/// Between two messages of one epoch.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Difference {
    /// Of the later one.
    time_nanoseconds: u64,
    interval_nanoseconds: u64,
    seen_packets: u64,
    seen_octets: u64,
    metered_packets: u64,
    metered_octets: u64,
    excepted_packets: u64,
    lost_packets: u64,
}

/// The last `seconds` of every epoch that was heard in them.
pub(super) fn now(reader: &dyn Reader, terms: &StoreTerms, words: &Words<'_>) -> Result<Now, Problem> {
    words.only(&["seconds"])?;
    let seconds = words.number("seconds", SECONDS_DEFAULT, SECONDS_MAX)?;
    let since = words.now_nanoseconds.saturating_sub(u64::from(seconds) * SECOND);
    let counters = reader.seconds(since)?;
    let heard = terms.epochs.iter().filter(|books| books.heard_nanoseconds >= since);
    let probes = heard.map(|books| probe(books, &counters, words.now_nanoseconds)).collect();
    Ok(Now { time_nanoseconds: words.now_nanoseconds, probes })
}

fn probe(books: &EpochBooks, counters: &[Second], now_nanoseconds: u64) -> Probe {
    let of_epoch: Vec<_> =
        counters.iter().filter(|second| (second.probe, second.epoch) == (books.probe, books.epoch)).collect();
    Probe {
        probe_id: books.probe,
        epoch: books.epoch,
        exporter: books.message.as_ref().map(|message| message.exporter.clone()),
        state: state::of(books, now_nanoseconds),
        last_heard_nanoseconds: books.heard_nanoseconds,
        seconds: of_epoch.windows(2).filter_map(|pair| difference(pair[0], pair[1])).collect(),
    }
}

/// `None` where the clock of the probe went backwards: no rate follows from it.
fn difference(before: &Second, after: &Second) -> Option<Difference> {
    let interval_nanoseconds =
        after.time_nanoseconds.checked_sub(before.time_nanoseconds).filter(|time| *time > 0)?;
    let minus = |of: fn(&Second) -> u64| of(after).saturating_sub(of(before));
    Some(Difference {
        time_nanoseconds: after.time_nanoseconds,
        interval_nanoseconds,
        seen_packets: minus(|second| second.seen.packets),
        seen_octets: minus(|second| second.seen.octets),
        metered_packets: minus(|second| second.metered.packets),
        metered_octets: minus(|second| second.metered.octets),
        excepted_packets: minus(|second| second.excepted_packets),
        lost_packets: minus(|second| second.lost_packets),
    })
}

#[cfg(test)]
mod tests {
    use flow_wire::ledger::Amount;

    use super::*;
    use crate::testing::stamp;

    #[test]
    fn differences_need_time_to_go_forward() {
        let stamp = stamp(0, 0);
        let at = |time_nanoseconds, packets| Second {
            probe: stamp.probe,
            epoch: stamp.epoch,
            time_nanoseconds,
            seen: Amount { packets, octets: packets * 100 },
            metered: Amount::ZERO,
            excepted_packets: 3,
            lost_packets: 0,
        };
        let found = difference(&at(10, 5), &at(30, 12)).unwrap();
        assert_eq!((found.interval_nanoseconds, found.seen_packets, found.seen_octets), (20, 7, 700));
        assert_eq!(found.excepted_packets, 0);
        assert_eq!(difference(&at(30, 5), &at(30, 12)), None);
        assert_eq!(difference(&at(31, 5), &at(30, 12)), None);
    }
}
