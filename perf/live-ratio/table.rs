//! Medians, and the ratios that goals are set for, pair by pair.

use std::collections::BTreeMap;
use std::fmt::Write;

use perf::baseline::Report;

use super::{Cli, Layout, Round, Way};

/// XDP_DROP takes so many times what the faster side does, or the generator is the bound and no ratio counts.
const HEADROOM: f64 = 1.5;

/// Whose rates are compared: goals are set for these.
const PAIRS: [(Way, Way); 7] = [
    (Way::Probe("poll"), Way::Xsk("poll")),
    (Way::Probe("nap"), Way::Xsk("nap")),
    (Way::Probe("spin"), Way::Xsk("spin")),
    (Way::Probe("adaptive"), Way::Xsk("poll")),
    (Way::Probe("poll"), Way::Tpacket),
    (Way::Probe("spin"), Way::Tpacket),
    (Way::Shunted("nap"), Way::Probe("nap")),
];

/// Those that took turns.
fn pairs(cli: &Cli) -> impl Iterator<Item = (Way, Way)> {
    let ways = cli.turns.ways();
    PAIRS.into_iter().filter(move |(one, other)| ways.contains(one) && ways.contains(other))
}

/// Everything that is to be known of a run, round by round, for programs.
pub(crate) fn json(cli: &Cli, rounds: &[Round]) -> serde_json::Value {
    let each = |of: &dyn Fn(&Report) -> f64| {
        let of_way = |way: &Way| (way.to_string(), rounds.iter().map(|round| of(&round[way])).collect());
        cli.turns.ways().iter().map(of_way).collect::<BTreeMap<String, Vec<f64>>>()
    };
    let pairs = pairs(cli).map(|(one, other)| {
        let (ratio, room) = ratios(rounds, one, other);
        serde_json::json!({ "one": one.to_string(), "other": other.to_string(), "ratio": ratio, "room": room })
    });
    serde_json::json!({
        "headroom": HEADROOM,
        "mpps": each(&|report| report.packets_per_second / 1e6),
        "receive_side_nanoseconds": each(&|report| report.receive_side_nanoseconds().unwrap_or(f64::NAN)),
        "busy_nanoseconds": each(&|report| report.busy_nanoseconds().unwrap_or(f64::NAN)),
        "shunted": each(&|report| report.shunted_packets as f64 / report.packets.max(1) as f64),
        "pairs": pairs.collect::<Vec<_>>(),
        "more_nanoseconds": { "poll": more(rounds, "poll"), "spin": more(rounds, "spin") },
        "rounds": rounds.iter().map(|round| round.values().collect::<Vec<_>>()).collect::<Vec<_>>(),
    })
}

/// Round by round: rate of one over rate of the other, and XDP_DROP's over the faster one's.
fn ratios(rounds: &[Round], one: Way, other: Way) -> (Vec<f64>, Vec<f64>) {
    let rate = |round: &Round, way: Way| round[&way].packets_per_second;
    let ratio = |round: &Round| rate(round, one) / rate(round, other);
    let room = |round: &Round| rate(round, Way::Drop) / rate(round, one).max(rate(round, other));
    (rounds.iter().map(ratio).collect(), rounds.iter().map(room).collect())
}

/// Round by round: what the probe spends on a packet less what the bare loop does, nanoseconds. In poll, of CPU: waking up is in it. In spin,
/// of turns that found packets: a thread that spins uses what there is.
fn more(rounds: &[Round], wait: &'static str) -> Vec<f64> {
    let of = |report: &Report| match wait {
        "spin" => report.busy_nanoseconds(),
        _ => Some(report.process_nanoseconds()),
    };
    let more = |round: &Round| Some(of(round.get(&Way::Probe(wait))?)? - of(round.get(&Way::Xsk(wait))?)?);
    rounds.iter().filter_map(more).collect()
}

/// Everything that is to be known of a run.
pub(crate) fn of(cli: &Cli, rounds: &[Round]) -> String {
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
    text += "| | Mpps | process CPU, ns a packet | NAPI CPU, ns a packet | spent on packets in spin, ns a packet | lost at the ring, of what came |\n|---|---|---|---|---|---|\n";
    for way in cli.turns.ways() {
        let column =
            |of: &dyn Fn(&Report) -> f64| spread(rounds.iter().map(|round| of(&round[way])).collect());
        let rate = column(&|report| report.packets_per_second / 1e6);
        let own = column(&Report::process_nanoseconds);
        let napi = column(&|report| report.napi_nanoseconds().unwrap_or(f64::NAN));
        let busy = column(&|report| report.busy_nanoseconds().unwrap_or(f64::NAN));
        let lost = column(&lost);
        let _into_memory =
            writeln!(text, "| {way} | {rate:.2} | {own:.0} | {napi:.0} | {busy:.0} | {lost:.3} |");
    }
    text += "\n| pair by pair | ratio | XDP_DROP / faster side | counts |\n|---|---|---|---|\n";
    for (one, other) in pairs(cli) {
        let (ratio, room) = ratios(rounds, one, other);
        let (ratio, room) = (spread(ratio), spread(room));
        let counts = if room.median >= HEADROOM { "yes" } else { "NO: the generator is the bound" };
        let _into_memory = writeln!(text, "| {one} / {other} | {ratio:.2} | {room:.2} | {counts} |");
    }
    for (wait, what) in [("poll", "CPU"), ("spin", "CPU of turns that found packets")] {
        let more = spread(more(rounds, wait));
        let _into_memory = writeln!(
            text,
            "\nWhat the probe needs more than the bare loop, {wait}, {what}: {more:.0} ns a packet"
        );
    }
    text
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
