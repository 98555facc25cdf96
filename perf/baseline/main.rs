//! `gannet-baseline`: what the kernel alone, and a naive look-up, can do here: the floors that the probe's figures stand on.
//! A line of JSON each. `perf/live-ratio` runs them beside the probe.

mod shard;

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, RandomState};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use perf::baseline::naive::{Packets, Quick, Sizes, Table};
use perf::baseline::{self, Receiver, Tpacket, Wait, Window, XdpDrop, Xsk};
use perf::kernel::thread;
use perf::traffic::{Model, Transport};
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

/// Nanoseconds a packet of each way, round by round.
fn lookup(command: &Lookup) -> anyhow::Result<()> {
    if let Some(cpu) = command.cpu {
        thread::pin(cpu)?;
    }
    let model = Model {
        flows: command.flows,
        packets_per_flow: 2,
        frame_octets: 60,
        ipv6: false,
        transport: Transport::Udp,
        vlan: None,
        seed: 1,
        one_way: false,
    };
    let packets = Packets::of(&model, command.sizes)?;
    let mut quick = Table::<BuildHasherDefault<Quick>>::default();
    let mut standard = Table::<RandomState>::default();
    let mut meter = Meter::new(command.flows as usize, None)?;
    let lasting = command.memory.as_deref().map(|memory| Meter::new(command.flows as usize, Some(memory)));
    let mut lasting = lasting.transpose()?;
    let mut rounds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 0..=command.rounds {
        let mut turn = |name, work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            let each = start.elapsed().as_nanos() as f64 / packets.count() as f64;
            if round > 0 {
                rounds.entry(name).or_default().push(each);
            }
        };
        turn("naive, quick hash", &mut || quick.add(&packets));
        turn("naive, SipHash", &mut || standard.add(&packets));
        turn("shard", &mut || meter.add(&packets));
        if let Some(lasting) = &mut lasting {
            turn("shard that lasts", &mut || lasting.add(&packets));
        }
    }
    // All three have seen the same packets, or nothing is compared.
    let all = (packets.count() as u64) * u64::from(command.rounds + 1);
    anyhow::ensure!(
        quick.totals() == standard.totals() && quick.totals().1 == all,
        "a naive loop lost packets"
    );
    for meter in [&meter].into_iter().chain(&lasting) {
        anyhow::ensure!(meter.totals().1 == all, "the shard metered {} of {all} packets", meter.totals().1);
    }
    println!("{}", report(command, &packets, meter.records(), rounds));
    Ok(())
}

fn report(
    command: &Lookup,
    packets: &Packets,
    meter_records: u64,
    rounds: BTreeMap<&str, Vec<f64>>,
) -> serde_json::Value {
    let shard = &rounds["shard"];
    let ratio_to =
        |name: &str| median(shard.iter().zip(&rounds[name]).map(|(own, other)| own / other).collect());
    serde_json::json!({
        "way": "lookup",
        "flows": command.flows,
        "packets": packets.count(),
        "evicted_flows": meter_records,
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
