//! `gannet-baseline`: what the kernel alone, and a naive look-up, can do here: the floors that the probe's figures stand on.
//! A line of JSON each. `perf/live-ratio` runs them beside the probe.

mod shard;

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use perf::baseline::naive::{Packets, Quick, Sizes, Table};
use perf::baseline::{self, Receiver, Tpacket, Wait, Window, XdpDrop, Xsk};
use perf::kernel::thread;
use perf::traffic::{Mix, Model};
use probe::source::xdp::{Program, Settings, Wanted};
use shard::Meter;
use xsk::Interface;

/// Bare receivers and a bare look-up, measured; a line of JSON each.
#[derive(Parser)]
#[command(name = "gannet-baseline", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// AF_XDP under the probe's XDP program, with the probe's ring sizes: receive and recycle
    Xsk(Live),
    /// TPACKET_V3, with the probe's ring: take blocks and give them back
    Tpacket(Live),
    /// XDP_DROP, counted
    Drop(Live),
    /// From memory: a naive hash map and the probe's shard over the same packets, in turns
    Lookup(Lookup),
}

#[derive(Args)]
struct Live {
    /// The interface; its name must be like no other's on this host, for NAPI threads to be told apart
    #[arg(short, long)]
    interface: String,
    /// Length of the measurement; it begins a moment after the first packet
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Between the first packet and the measurement
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// What to do when nothing is there
    #[arg(long, value_enum, default_value = "poll")]
    wait: Wait,
    /// CPU to receive on [default: any]
    #[arg(long)]
    cpu: Option<usize>,
}

#[derive(Args)]
struct Lookup {
    /// Flows
    #[arg(long, default_value_t = 1_000_000)]
    flows: u32,
    /// Packets of a flow
    #[arg(long, value_enum, default_value = "pareto")]
    sizes: Sizes,
    /// Flows as a link carries them, in the order of their times (gannet-replay --mix --flows-per-second 50000)
    #[arg(long, conflicts_with = "sizes")]
    mix: bool,
    /// Every flow as often as every other, in no order: 4 million packets, or one a flow; without the table of SipHash
    #[arg(long, conflicts_with_all = ["sizes", "mix"])]
    uniform: bool,
    /// Also the shard over a file in this folder (tmpfs, hugetlbfs), as recovery keeps its flow cache
    #[arg(long)]
    memory: Option<PathBuf>,
    /// How often each takes its turn, after one that does not count
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// CPU to run on [default: any]
    #[arg(long)]
    cpu: Option<usize>,
}

/// About, of `--uniform`.
const UNIFORM_PACKETS: usize = 4_000_000;

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Xsk(live) => xsk(&live),
        Command::Tpacket(live) => receive(&live, &mut Tpacket::open(&Interface::by_name(&live.interface)?)?),
        Command::Drop(live) => receive(&live, &mut XdpDrop::attach(&live.interface)?),
        Command::Lookup(command) => lookup(&command),
    }
}

fn xsk(live: &Live) -> anyhow::Result<()> {
    let interface = Interface::by_name(&live.interface)?;
    let mut receiver = Xsk::bind(&interface)?;
    let settings = Settings { sockets_of_queue: vec![1], ..Settings::default() };
    let mut program = Program::load(&settings)?;
    program.set_socket(0, 0, receiver.descriptor())?;
    let attached = program.attach(&live.interface, interface.index(), Wanted::Native)?;
    eprintln!("AF_XDP in {} mode, XDP program {}", receiver.mode(), attached.mode);
    receive(live, &mut receiver)
}

/// From here on the thread does nothing but receive.
fn receive<R: Receiver>(live: &Live, receiver: &mut R) -> anyhow::Result<()> {
    if let Some(cpu) = live.cpu {
        thread::pin(cpu)?;
    }
    let window = Window {
        warm_up: Duration::try_from_secs_f64(live.warm_up).context("--warm-up")?,
        length: Duration::try_from_secs_f64(live.seconds).context("--seconds")?,
    };
    eprintln!("ready: receiving on {}", live.interface);
    let report = baseline::run(receiver, &live.interface, live.wait, window)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Nanoseconds of CPU a packet of each way, round by round.
fn lookup(command: &Lookup) -> anyhow::Result<()> {
    if let Some(cpu) = command.cpu {
        thread::pin(cpu)?;
    }
    let packets = packets(command)?;
    let mut quick = Table::<BuildHasherDefault<Quick>>::default();
    let mut standard = (!command.uniform).then(Table::<RandomState>::default);
    let mut meter = Meter::new(command.flows as usize, None)?;
    let lasting = command.memory.as_deref().map(|memory| Meter::new(command.flows as usize, Some(memory)));
    let mut lasting = lasting.transpose()?;
    let mut rounds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 0..=command.rounds {
        let mut turn = |name, work: &mut dyn FnMut()| {
            // Of the processor: what else runs on this core makes nobody slower.
            let start = thread::cpu_time();
            work();
            let each = (thread::cpu_time() - start).as_nanos() as f64 / packets.count() as f64;
            if round > 0 {
                rounds.entry(name).or_default().push(each);
            }
        };
        turn("naive, quick hash", &mut || quick.add(&packets));
        if let Some(standard) = &mut standard {
            turn("naive, SipHash", &mut || standard.add(&packets));
        }
        turn("shard", &mut || meter.add(&packets));
        if let Some(lasting) = &mut lasting {
            turn("shard that lasts", &mut || lasting.add(&packets));
        }
    }
    // All three have seen the same packets, or nothing is compared.
    let all = (packets.count() as u64) * u64::from(command.rounds + 1);
    let is_whole = standard.is_none_or(|standard| standard.totals() == quick.totals());
    anyhow::ensure!(is_whole && quick.totals().1 == all, "a naive loop lost packets");
    for meter in [&meter].into_iter().chain(&lasting) {
        anyhow::ensure!(meter.totals().1 == all, "the shard metered {} of {all} packets", meter.totals().1);
    }
    let totals = Totals { keys: quick.totals().0, open: meter.totals().0, records: meter.records() };
    println!("{}", report(command, packets.count(), &totals, rounds));
    Ok(())
}

fn packets(command: &Lookup) -> anyhow::Result<Packets> {
    Ok(if command.mix {
        Packets::mixed(&Mix::measured(command.flows))?
    } else if command.uniform {
        Packets::uniform(command.flows, UNIFORM_PACKETS)
    } else {
        Packets::of(&Model::small_datagrams(command.flows), command.sizes)?
    })
}

/// At the end of all rounds.
struct Totals {
    /// Flows of the naive table.
    keys: usize,
    /// Flows open in the shard.
    open: usize,
    /// Written by it.
    records: u64,
}

fn report(
    command: &Lookup,
    packets: usize,
    totals: &Totals,
    rounds: BTreeMap<&str, Vec<f64>>,
) -> serde_json::Value {
    let shard = &rounds["shard"];
    let ratio_to = |name: &str| {
        let other = rounds.get(name)?;
        Some(median(shard.iter().zip(other).map(|(own, other)| own / other).collect()))
    };
    serde_json::json!({
        "way": "lookup",
        "flows": command.flows,
        "packets": packets,
        "keys": totals.keys,
        "open_flows": totals.open,
        "records": totals.records,
        "shard_to_naive_quick": ratio_to("naive, quick hash"),
        "shard_to_naive_siphash": ratio_to("naive, SipHash"),
        "median_nanoseconds": rounds.iter().map(|(name, each)| (*name, median(each.clone()))).collect::<BTreeMap<_, _>>(),
        "nanoseconds": rounds,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
