//! The wire, and the three programs on it.

use std::path::PathBuf;

use perf::netns::{End, Netns, Wire};
use perf::process::{Program, Running};

use super::{Cli, PATIENCE};

/// In the namespace nobody else has these.
const PROBE: &str = "127.0.0.1:9100";
const COLLECTOR: &str = "127.0.0.1:3000";
const BUS: &str = "zmq://127.0.0.1:5556";

/// Both ends in one namespace, and a folder for what the programs keep.
pub(crate) struct Site {
    namespace: Netns,
    folder: tempfile::TempDir,
    /// For open flows, which survive a kill in memory alone; it goes with this process.
    memory: tempfile::TempDir,
}

impl Site {
    pub(crate) fn build() -> anyhow::Result<Self> {
        let namespace = Netns::new("rate")?;
        Wire::default().lay(End::new(&namespace, "out"), End::new(&namespace, "in"))?;
        Ok(Self { namespace, folder: tempfile::tempdir()?, memory: tempfile::tempdir_in("/dev/shm")? })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, words: &str) -> anyhow::Result<Program> {
        Ok(Program::ours_in(&self.namespace, name)?.args(words.split_whitespace()))
    }

    /// With its defaults: capture mode, rings, cache, time-outs, spool, recovery. Only where it keeps its state is said.
    pub(crate) fn probe(&self, further: &[String]) -> anyhow::Result<Running> {
        let words = format!(
            "-i in --ntopng {BUS} --http {PROBE} --state-dir {} --ledger {} --recovery-dir {}",
            self.path("state").display(),
            self.path("ledger").display(),
            self.memory.path().display()
        );
        Ok(self.program("gannet-probe", &words)?.args(further).start()?)
    }

    pub(crate) fn collector(&self) -> anyhow::Result<Running> {
        let words = format!("-i {BUS} --http {COLLECTOR} --store {}", self.path("store").display());
        Ok(self.program("gannet-collector", &words)?.start()?)
    }

    /// Each copy of a frame is of another flow: two addresses, and so many ports.
    pub(crate) fn verify(&self, cli: &Cli) -> anyhow::Result<Running> {
        let words = format!(
            "verify --probe {PROBE} --collector {COLLECTOR} --json --patience {} -i out --by live-frames --flows 2 --one-way \
             --packets-per-flow 640000 --source-ports {} --rate {} --seconds {} --cpu {}",
            PATIENCE.as_secs(),
            cli.flows / 2,
            cli.rate,
            cli.seconds,
            cli.generator_cpu
        );
        Ok(self.program("gannet-replay", &words)?.start()?)
    }

    /// What the probe wrote at its end.
    pub(crate) fn books(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_str(&std::fs::read_to_string(self.path("ledger"))?)?)
    }
}
