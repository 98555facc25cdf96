//! The wire, its NAPI thread, and who is started where.

use std::time::Duration;

use anyhow::Context;
use perf::baseline::{Report, threads};
use perf::kernel::signal::Signal;
use perf::kernel::thread;
use perf::netns::{End, Netns, Wire};
use perf::process::{Program, Running};
use perf::wait::wait_for;

use super::{BOUND, Cli, Layout, Way, measure};

/// A packet socket is given back by the kernel some time after its process has ended, an AF_XDP queue as well; the sender
/// outlasts the measurement by this much.
const MARGIN_SECONDS: f64 = 20.0;

/// Sender on the left, receivers on the right.
pub(crate) struct Site<'a> {
    pub(crate) cli: &'a Cli,
    pub(crate) left: Netns,
    pub(crate) right: Netns,
    /// The receiving device: NAPI threads are known by its name alone, so it is like no other's.
    pub(crate) device: String,
    pub(crate) folder: tempfile::TempDir,
}

impl<'a> Site<'a> {
    /// Lays the wire and puts its NAPI thread where it belongs.
    pub(crate) fn build(cli: &'a Cli) -> anyhow::Result<Self> {
        let device = format!("gnr{}", std::process::id());
        let (left, right) = (Netns::new("ratio")?, Netns::new("ratio")?);
        Wire::default().lay(End::new(&left, "out"), End::new(&right, &device))?;
        // GRO gives the device NAPI whoever is attached: one thread, which stays through all turns.
        right.offload(&device, &["gro", "on"])?;
        right.run("sh", &["-c", &format!("echo 1 > /sys/class/net/{device}/threaded")])?;
        let found = wait_for("the NAPI thread is there", BOUND, || threads::napi_of(&device).pop())?;
        let (cpu, fifo) = match cli.placement {
            Layout::TwoCore => (cli.generator_cpu, true),
            Layout::OneCore => (cli.application_cpu, false),
        };
        thread::pin_thread(found.1, cpu)?;
        thread::set_fifo(found.1, fifo)?;
        Ok(Self { cli, left, right, device, folder: tempfile::tempdir()? })
    }

    /// One turn: the receiver, then the traffic, then the window.
    pub(crate) fn measure(&self, way: Way) -> anyhow::Result<Report> {
        match way {
            Way::Drop => self.bare("drop", "poll"),
            Way::Xsk(wait) => self.bare("xsk", wait),
            Way::Tpacket => self.bare("tpacket", "poll"),
            Way::Probe(wait) => measure::probe(self, wait, None),
            Way::Shunted(wait) => measure::probe(self, wait, Some(self.cli.shunt)),
        }
        .with_context(|| way.to_string())
    }

    fn bare(&self, command: &str, wait: &str) -> anyhow::Result<Report> {
        let program = Program::ours_in(&self.right, "examples/gannet-baseline")?;
        let seconds = self.cli.seconds.to_string();
        let program = program.args([command, "-i", &self.device, "--wait", wait, "--seconds", &seconds]);
        let mut receiver = self.receiver(program)?;
        receiver.wait_for_line("ready:", BOUND)?;
        let sender = self.sender()?;
        let finished = receiver.wait(BOUND + Duration::from_secs_f64(self.cli.seconds))?;
        anyhow::ensure!(finished.code() == 0, "{}", finished.stderr);
        sender.stop(Signal::Interrupt, BOUND)?;
        Ok(serde_json::from_str(&finished.stdout)?)
    }

    /// All of its threads on the application's CPU: children have what the thread has that starts them.
    pub(crate) fn receiver(&self, program: Program) -> anyhow::Result<Running> {
        thread::pin(self.cli.application_cpu)?;
        let running = program.start();
        // Whoever watches does so from the generator's side.
        thread::pin(self.cli.generator_cpu)?;
        Ok(running?)
    }

    /// Flat out: every copy of a frame is of another flow than the one before.
    pub(crate) fn sender(&self) -> anyhow::Result<Running> {
        let cli = self.cli;
        let flows = match cli.elephants {
            Some(elephants) => format!(
                "--elephants {elephants} --elephant-share {} --flows {} --packets-per-flow {}",
                cli.elephant_share, cli.flows, cli.packets_per_flow
            ),
            None => format!("--flows 2 --packets-per-flow 640000 --one-way --source-ports {}", cli.flows / 2),
        };
        let arguments = format!(
            "send --interface out --by live-frames {flows} --burst 16384 --frame-size {} --cpu {} --seconds {}",
            cli.frame_size,
            cli.generator_cpu,
            cli.seconds + MARGIN_SECONDS
        );
        let program = Program::ours_in(&self.left, "gannet-replay")?;
        Ok(program.args(arguments.split_whitespace()).start()?)
    }
}
