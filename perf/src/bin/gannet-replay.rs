//! `gannet-replay`: known traffic onto an interface, and the truth about what arrived there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use perf::craft::{LinkType, Pcap, Record};
use perf::kernel::{device::Device, thread};
use perf::replay::{self, By, Plan};
use perf::traffic::{self, Model, Schedule, Skipped, Traffic, Transport};

/// Sends traffic whose every flow is known, and says what arrived.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send onto an interface; a JSON report on standard output.
    Send(Send),
    /// Write the model's packets to a capture file instead.
    Write(Write_),
}

/// What to send: a capture file or a model.
#[derive(Args)]
struct What {
    /// Flows, each with its own addresses and ports.
    #[arg(long, default_value_t = 1000)]
    flows: u32,
    /// Packets of a flow, half of them from destination to source.
    #[arg(long, default_value_t = 10)]
    packets_per_flow: u32,
    /// Octets of a frame, without FCS.
    #[arg(long, default_value_t = 60)]
    frame_size: usize,
    /// IPv6 instead of IPv4 (frames of at least 62 octets, for TCP 74).
    #[arg(long)]
    ipv6: bool,
    /// Transport protocol.
    #[arg(long, value_enum, default_value = "udp")]
    transport: Transport,
    /// VLAN tag of every frame.
    #[arg(long)]
    vlan: Option<u16>,
    /// Other keys by another seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// No packets from destination to source.
    #[arg(long)]
    one_way: bool,
    /// Where to write the truth: per flow, packets and octets that arrived, a JSON line each.
    #[arg(long)]
    truth: Option<PathBuf>,
    /// Send all of it so many times [default: 1; without end when --seconds or --count bounds it].
    #[arg(long)]
    loops: Option<u64>,
    /// Copies of a frame in a row [default: 64 by live frames, 1 by a packet socket].
    #[arg(long)]
    burst: Option<u32>,
}

#[derive(Args)]
struct Send {
    /// The interface to send on.
    #[arg(short, long)]
    interface: String,
    /// A capture file (pcap, pcapng) to send instead of a model, bit by bit.
    #[arg(long, conflicts_with_all = ["truth", "flows", "packets_per_flow", "frame_size", "ipv6", "transport",
                                      "vlan", "seed", "one_way"])]
    capture: Option<PathBuf>,
    #[command(flatten)]
    what: What,
    /// How.
    #[arg(long, value_enum, default_value = "live-frames")]
    by: By,
    /// Frames a second [default: as fast as it goes].
    #[arg(long)]
    rate: Option<u64>,
    /// Stop after so many frames.
    #[arg(long)]
    count: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// CPU to send from: on veth it chooses the receive queue of live frames.
    #[arg(long)]
    cpu: Option<usize>,
}

#[derive(Args)]
struct Write_ {
    /// The file to write (pcap, nanoseconds, Ethernet).
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    what: What,
    /// Frames a second, by the packets' time stamps.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
}

impl What {
    fn model(&self) -> Model {
        Model {
            flows: self.flows,
            packets_per_flow: self.packets_per_flow,
            frame_octets: self.frame_size,
            ipv6: self.ipv6,
            transport: self.transport,
            vlan: self.vlan,
            seed: self.seed,
            one_way: self.one_way,
        }
    }
}

/// Wrong usage, like all that [`traffic::Impossible`] names.
#[derive(Debug, thiserror::Error)]
#[error(
    "--frame-size {frame_octets}: {interface} carries at most {longest} this way (MTU {mtu}); ask for less"
)]
struct TooLong {
    frame_octets: usize,
    interface: String,
    longest: usize,
    mtu: usize,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Send(command) => send(&command),
        Command::Write(command) => write(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gannet-replay: {error:#}");
            let usage = error.is::<traffic::Impossible>() || error.is::<TooLong>();
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

fn send(command: &Send) -> anyhow::Result<()> {
    let device = Device::open(&command.interface)?;
    let (traffic, skipped) = traffic_of(command, &device)?;
    if let Some(cpu) = command.cpu {
        thread::pin(cpu)?;
    }
    let bounded = command.seconds.is_some() || command.count.is_some();
    let plan = Plan {
        by: command.by,
        rate: command.rate,
        loops: command.what.loops.unwrap_or(if bounded { u64::MAX } else { 1 }),
        count: command.count,
        duration: command.seconds.map(Duration::from_secs_f64),
        burst: command.what.burst.unwrap_or(command.by.usual_burst()),
    };
    let tally = replay::run(&device, &traffic, &plan)?;
    if let Some(path) = &command.what.truth {
        write_truth(path, &command.what.model(), tally.arrived_of_frame())?;
    }
    let report = tally.report(&command.interface, command.by, skipped);
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn traffic_of(command: &Send, device: &Device) -> anyhow::Result<(Traffic, Skipped)> {
    let longest = command.by.longest(device.mtu);
    match &command.capture {
        Some(path) => Ok(traffic::read(path, longest)?),
        None => {
            let model = command.what.model();
            if model.frame_octets > longest {
                let (interface, mtu) = (command.interface.clone(), device.mtu);
                return Err(TooLong { frame_octets: model.frame_octets, interface, longest, mtu }.into());
            }
            Ok((model.traffic()?, Skipped::default()))
        }
    }
}

fn write_truth(path: &Path, model: &Model, arrived: &[u64]) -> anyhow::Result<()> {
    let failed = || format!("cannot write the truth to {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    for line in model.truth(arrived) {
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n").with_context(failed)?;
    }
    file.flush().with_context(failed)
}

/// First packet of a written file: a fixed moment, so that one model gives one file.
const FIRST_NANOSECONDS: u64 = 1_700_000_000_000_000_000;

fn write(command: &Write_) -> anyhow::Result<()> {
    let model = command.what.model();
    let traffic = model.traffic()?;
    let failed = || format!("cannot write the capture to {}", command.out.display());
    let mut file = BufWriter::new(File::create(&command.out).with_context(failed)?);
    let pcap = Pcap::new(LinkType::Ethernet);
    file.write_all(&pcap.header()).with_context(failed)?;
    let interval = 1_000_000_000 / command.rate.max(1);
    let mut time = FIRST_NANOSECONDS;
    let mut written = vec![0; traffic.count()];
    let mut schedule =
        Schedule::new(&traffic, command.what.burst.unwrap_or(1), command.what.loops.unwrap_or(1));
    while let Some(step) = schedule.next(1) {
        let record = Record::whole(time, traffic.frame(step.frame).to_vec());
        file.write_all(&pcap.record(&record)).with_context(failed)?;
        written[step.frame] += 1;
        time += interval;
    }
    file.flush().with_context(failed)?;
    if let Some(path) = &command.what.truth {
        write_truth(path, &model, &written)?;
    }
    Ok(())
}
