//! Medians, and the ratios that goals are set for, pair by pair.

use std::collections::BTreeMap;
use std::fmt::Write;

use perf::baseline::Report;

use super::{Cli, Layout, WAYS, Way};

/// XDP_DROP takes so many times what the faster side does, or the generator is the bound and no ratio counts.
const HEADROOM: f64 = 1.5;

/// Whose rates are compared: goals are set for these.
const PAIRS: [(Way, Way); 5] = [
    (Way::Probe("poll"), Way::Xsk("poll")),
    (Way::Probe("spin"), Way::Xsk("spin")),
    (Way::Probe("adaptive"), Way::Xsk("poll")),
    (Way::Probe("poll"), Way::Tpacket),
    (Way::Probe("spin"), Way::Tpacket),
];

/// Everything that is to be known of a run, round by round, for programs.
pub(crate) fn json(rounds: &[Vec<Report>]) -> serde_json::Value {
    let rates = |way| rounds.iter().map(|round| report(round, way).packets_per_second / 1e6).collect();
    let pairs = PAIRS.map(|(one, other)| {
        let (ratio, room) = ratios(rounds, one, other);
        serde_json::json!({ "one": one.to_string(), "other": other.to_string(), "ratio": ratio, "room": room })
    });
    serde_json::json!({
        "headroom": HEADROOM,
        "mpps": WAYS.map(|way| (way.to_string(), rates(way))).into_iter().collect::<BTreeMap<String, Vec<f64>>>(),
        "pairs": pairs,
        "more_nanoseconds": { "poll": more(rounds, "poll"), "spin": more(rounds, "spin") },
        "rounds": rounds,
    })
}

/// Round by round: rate of one over rate of the other, and XDP_DROP's over the faster one's.
fn ratios(rounds: &[Vec<Report>], one: Way, other: Way) -> (Vec<f64>, Vec<f64>) {
    let rate = |round: &[Report], way| report(round, way).packets_per_second;
    let ratio = |round: &Vec<Report>| rate(round, one) / rate(round, other);
    let room = |round: &Vec<Report>| rate(round, Way::Drop) / rate(round, one).max(rate(round, other));
    (rounds.iter().map(ratio).collect(), rounds.iter().map(room).collect())
}

/// Round by round: CPU of the probe less the bare loop's, nanoseconds a packet.
fn more(rounds: &[Vec<Report>], wait: &'static str) -> Vec<f64> {
    let more = |round: &Vec<Report>| {
        let each = |way| report(round, way).process_nanoseconds();
        each(Way::Probe(wait)) - each(Way::Xsk(wait))
    };
    rounds.iter().map(more).collect()
}

/// Everything that is to be known of a run.
pub(crate) fn of(cli: &Cli, rounds: &[Vec<Report>]) -> String {
    let mut text = String::new();
    let napi = if cli.placement == Layout::TwoCore { cli.generator_cpu } else { cli.application_cpu };
    let _into_memory = writeln!(
        text,
        "{} flows, {} octets; generator on CPU {}, NAPI on CPU {napi}, application on CPU {}; medians of {} rounds (least to most)\n",
        cli.flows,
        cli.frame_size,
        cli.generator_cpu,
        cli.application_cpu,
        rounds.len()
    );
    text += "| | Mpps | process CPU, ns a packet | NAPI CPU, ns a packet | lost at the ring, of what came |\n|---|---|---|---|---|\n";
    for way in WAYS {
        let column =
            |of: &dyn Fn(&Report) -> f64| spread(rounds.iter().map(|round| of(report(round, way))).collect());
        let rate = column(&|report| report.packets_per_second / 1e6);
        let own = column(&Report::process_nanoseconds);
        let napi = column(&|report| report.napi_nanoseconds().unwrap_or(f64::NAN));
        let lost = column(&lost);
        let _into_memory = writeln!(text, "| {way} | {rate:.2} | {own:.0} | {napi:.0} | {lost:.3} |");
    }
    text += "\n| pair by pair | ratio | XDP_DROP / faster side | counts |\n|---|---|---|---|\n";
    for (one, other) in PAIRS {
        let (ratio, room) = ratios(rounds, one, other);
        let (ratio, room) = (spread(ratio), spread(room));
        let counts = if room.median >= HEADROOM { "yes" } else { "NO: the generator is the bound" };
        let _into_memory = writeln!(text, "| {one} / {other} | {ratio:.2} | {room:.2} | {counts} |");
    }
    for wait in ["poll", "spin"] {
        let more = spread(more(rounds, wait));
        let _into_memory = writeln!(text, "\nProbe CPU less the bare loop's, {wait}: {more:.0} ns a packet");
    }
    text
}

fn report(round: &[Report], way: Way) -> &Report {
    let at = WAYS.iter().position(|one| *one == way).unwrap_or_default();
    &round[at]
}

/// The part of what reached the receiver's ring, or wanted to, that found no room.
fn lost(report: &Report) -> f64 {
    let drops: u64 =
        report.drops.iter().filter(|(cause, _)| !cause.contains("explain")).map(|(_, count)| count).sum();
    drops as f64 / (drops + report.packets).max(1) as f64
}

struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    Spread { median: at(values.len() / 2), least: at(0), most: at(values.len().saturating_sub(1)) }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.least, self.most)
    }
}
