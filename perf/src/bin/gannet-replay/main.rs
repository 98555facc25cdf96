//! `gannet-replay`: known traffic onto an interface, or into a capture file, and the truth about what arrived there.

mod options;
mod verify;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use perf::craft::{LinkType, Pcap};
use perf::kernel::{device::Device, thread, vary::Vary};
use perf::replay::{self, By, Plan, Report};
use perf::traffic::{self, Burst, FrameSize, Looped, Skipped, Source};

use options::What;

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
    Send(Box<Send>),
    /// Write the model's packets to a capture file instead.
    Write(Box<Write_>),
    /// Send, then ask the probe (and its collector) what became of every packet; exit code 0 all there, 3 unexplained, 4 lost.
    Verify(Box<verify::Verify>),
    /// Find the highest rate without loss (RFC 2544): trials of --seconds, from --rate or as fast as it goes, downwards.
    Ramp(Box<verify::RampOptions>),
}

#[derive(Args, Clone)]
struct Send {
    /// The interface to send on.
    #[arg(short, long)]
    interface: String,
    /// A capture file (pcap, pcapng) to send instead of a model, bit by bit.
    #[arg(long, conflicts_with_all = ["truth", "flows", "packets_per_flow", "frame_size", "ipv6", "transport",
                                      "vlan", "seed", "one_way", "mix", "elephants"])]
    capture: Option<PathBuf>,
    /// Each loop over the capture but the first with other addresses, so that its flows are new ones; checksums stay right.
    #[arg(long, requires = "capture")]
    unique_ip: bool,
    #[command(flatten)]
    what: What,
    /// How [default: live-frames; of a mix packet-socket, since each of its frames would be a call of its own].
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Frames a second [default: as fast as it goes].
    #[arg(long)]
    rate: Option<u64>,
    /// Each packet of a mix at its own time.
    #[arg(long, requires = "mix", conflicts_with = "rate")]
    timed: bool,
    /// Stop after so many frames.
    #[arg(long)]
    count: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// Live frames of UDP over IPv4: each copy gets the next of so many source ports, and no checksum, so that copies in a row
    /// are as many flows. The truth of a flow is not known then.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64_000),
          conflicts_with_all = ["truth", "capture", "ipv6", "vlan", "transport", "mix", "elephants"])]
    source_ports: Option<u16>,
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
    /// Frames a second, by the packets' time stamps [default: 1000; a mix has its own times].
    #[arg(long)]
    rate: Option<u64>,
}

/// Wrong usage, like all that [`traffic::Impossible`] names.
#[derive(Debug, thiserror::Error)]
#[error(
    "--frame-size {frame_size}: {interface} carries at most {longest} this way (MTU {mtu}); ask for less"
)]
struct TooLong {
    frame_size: FrameSize,
    interface: String,
    longest: usize,
    mtu: usize,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Send(command) => send(&command).map(|()| ExitCode::SUCCESS),
        Command::Write(command) => write(&command).map(|()| ExitCode::SUCCESS),
        Command::Verify(command) => verify::verify(&command),
        Command::Ramp(command) => verify::ramp(&command),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gannet-replay: {error:#}");
            let usage = error.is::<traffic::Impossible>() || error.is::<TooLong>();
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

impl Send {
    fn by(&self) -> By {
        self.by.unwrap_or(if self.what.is_mix() { By::PacketSocket } else { By::LiveFrames })
    }

    /// What the kernel makes different in the copies of a frame.
    fn vary(&self) -> Result<Option<Vary>, traffic::Impossible> {
        if self.by() != By::LiveFrames {
            return Ok(None);
        }
        Ok(self.source_ports.map(Vary::SourcePorts).or(self.what.vary()?))
    }
}

fn send(command: &Send) -> anyhow::Result<()> {
    let report = run(command, &Device::open(&command.interface)?)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Sends, and writes the truth where it was asked for.
fn run(command: &Send, device: &Device) -> anyhow::Result<Report> {
    let (mut source, skipped) = source_of(command, device)?;
    if let Some(cpu) = command.cpu {
        thread::pin(cpu)?;
    }
    let plan = Plan {
        by: command.by(),
        rate: command.rate,
        timed: command.timed,
        count: command.count,
        duration: command.seconds.map(Duration::from_secs_f64),
        burst: command.what.burst(command.by()),
        vary: command.vary()?,
    };
    let tally = replay::run(device, &mut *source, &plan)?;
    if let Some(path) = &command.what.truth {
        write_truth(path, &*source)?;
    }
    Ok(tally.report(&command.interface, command.by(), skipped))
}

fn source_of(command: &Send, device: &Device) -> anyhow::Result<(Box<dyn Source>, Skipped)> {
    let (what, by) = (&command.what, command.by());
    let bounded = command.seconds.is_some() || command.count.is_some();
    let loops = what.loops.unwrap_or(if bounded { u64::MAX } else { 1 });
    let longest = by.longest(device.mtu);
    if let Some(path) = &command.capture {
        let (traffic, skipped) = traffic::read(path, longest)?;
        let looped = Looped::new(traffic, what.burst(by), loops).with_unique_ip(command.unique_ip);
        return Ok((Box::new(looped), skipped));
    }
    if what.frame_size.longest() > longest {
        let (interface, mtu) = (command.interface.clone(), device.mtu);
        return Err(TooLong { frame_size: what.frame_size, interface, longest, mtu }.into());
    }
    Ok((what.source(loops, Some(by))?, Skipped::default()))
}

fn write_truth(path: &Path, source: &dyn Source) -> anyhow::Result<()> {
    let failed = || format!("cannot write the truth to {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    for line in source.truth() {
        serde_json::to_writer(&mut file, &line).with_context(failed)?;
        file.write_all(b"\n").with_context(failed)?;
    }
    file.flush().with_context(failed)
}

/// First packet of a written file: a fixed moment, so that one model gives one file.
const FIRST_NANOSECONDS: u64 = 1_700_000_000_000_000_000;
/// Frames a second where neither the command line nor the model says when they come.
const USUAL_RATE: u64 = 1000;
/// Written at a time.
const BUFFER_BYTES: usize = 1 << 20;

fn write(command: &Write_) -> anyhow::Result<()> {
    let what = &command.what;
    let mut source = what.source(what.loops.unwrap_or(1), None)?;
    let failed = || format!("cannot write the capture to {}", command.out.display());
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create(&command.out).with_context(failed)?);
    let pcap = Pcap::new(LinkType::Ethernet);
    file.write_all(&pcap.header()).with_context(failed)?;
    let rate = command.rate.or((!what.is_mix()).then_some(USUAL_RATE));
    let interval = rate.map(|rate| 1_000_000_000 / rate.max(1));
    let mut burst = Burst::default();
    let mut written = 0;
    loop {
        source.fill(&mut burst, 1);
        let Some(shot) = burst.shots().first() else { break };
        let since = interval.map_or(shot.time.as_nanos() as u64, |interval| written * interval);
        let frame = burst.frame(shot);
        let octets = frame.len() as u32;
        file.write_all(&pcap.record_header(FIRST_NANOSECONDS + since, octets, octets))
            .with_context(failed)?;
        file.write_all(frame).with_context(failed)?;
        source.arrived(&burst, shot, 1);
        written += 1;
    }
    file.flush().with_context(failed)?;
    match &what.truth {
        Some(path) => write_truth(path, &*source),
        None => Ok(()),
    }
}
