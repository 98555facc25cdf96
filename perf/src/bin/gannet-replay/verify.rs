//! `verify` and `ramp`: send, and ask probe and collector what became of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use perf::kernel::device::Device;
use perf::replay::Report;
use perf::verify::{Account, Bounds, Ramp, Server, Step, Trial, Verdict, plot};

use crate::{Send, run};

/// Whom to ask.
#[derive(Args)]
struct Asked {
    /// The probe that captures what is sent: where its --http serves.
    #[arg(long, value_name = "HOST:PORT")]
    probe: Server,
    /// The collector of its flows: where its page is.
    #[arg(long, value_name = "HOST:PORT")]
    collector: Option<Server>,
    /// Wait for the last flow to be stored for so many seconds: flows are exported once they have ended.
    #[arg(long, value_name = "SECONDS", default_value_t = 180.0)]
    patience: f64,
}

#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    asked: Asked,
    /// The account as JSON on standard output, instead of lines for people.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    send: Send,
}

#[derive(Args)]
pub(crate) struct RampOptions {
    #[command(flatten)]
    asked: Asked,
    /// End when the highest rate without loss and the lowest with are so near, in percent of the first trial's.
    #[arg(long, default_value_t = 2.0, value_name = "PERCENT")]
    resolution: f64,
    /// Write every trial to a file (JSON).
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Draw loss over rate (SVG).
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    send: Send,
}

/// Length of a trial unless --seconds says: RFC 2544 asks for 60 s, which a search of ten trials makes long.
const TRIAL_SECONDS: f64 = 10.0;

impl Asked {
    /// Sends, and waits for what became of it.
    fn account(&self, send: &Send, device: &Device) -> anyhow::Result<(Report, Account)> {
        let before = Account::begin(&self.probe, self.collector.as_ref())?;
        let report = run(send, device)?;
        let sent = (report.sent.packets, report.arrived.packets);
        let patience = Duration::from_secs_f64(self.patience);
        let account = Account::close(&before, sent, (&self.probe, self.collector.as_ref()), patience)?;
        Ok((report, account))
    }
}

pub(crate) fn verify(command: &Verify) -> anyhow::Result<ExitCode> {
    let device = Device::open(&command.send.interface)?;
    let (_, account) = command.asked.account(&command.send, &device)?;
    if command.json {
        println!("{}", serde_json::to_string(&account)?);
    } else {
        println!("{account}");
    }
    Ok(ExitCode::from(account.verdict().exit_code()))
}

pub(crate) fn ramp(command: &RampOptions) -> anyhow::Result<ExitCode> {
    let device = Device::open(&command.send.interface)?;
    let mut send = command.send.clone();
    let seconds = *send.seconds.get_or_insert(TRIAL_SECONDS);
    let resolution = command.resolution / 100.0;
    let mut ramp = Ramp::new(Bounds { highest: send.rate, resolution, trial_seconds: seconds });
    let found = loop {
        send.rate = match ramp.next() {
            Step::Try(rate) => rate,
            Step::Done(rate) => break rate,
        };
        let (report, account) = command.asked.account(&send, &device)?;
        let arrived_per_second = report.arrived.packets as f64 / report.seconds.max(f64::MIN_POSITIVE);
        let trial = Trial { asked: send.rate, arrived_per_second, account };
        eprintln!("{trial}");
        ramp.add(trial);
    };
    if let Some(path) = &command.report {
        write(path, &serde_json::to_string_pretty(&ramp)?)?;
    }
    if let Some(path) = &command.plot {
        write(path, &plot(&ramp, found, &format!("{} s a trial onto {}", seconds, device.name())))?;
    }
    let limit = if ramp.is_bound_by_generator() {
        " (the generator's own limit; the probe's lies above)"
    } else {
        ""
    };
    println!("no loss up to {found} frames a second{limit}");
    let unexplained = ramp.worst() == Verdict::Unexplained;
    let verdict = if unexplained {
        Verdict::Unexplained
    } else if found == 0 {
        Verdict::Loss
    } else {
        Verdict::Pass
    };
    Ok(ExitCode::from(verdict.exit_code()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
