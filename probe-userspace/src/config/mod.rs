//! What the run is to do, from the command line and a TOML file.
//!
//! ```text
//! command line ─┐
//!               ├─► Words (as written) ─► check ─► Config (typed, in range) ─► run
//! --config FILE ┘        the command line wins
//! ```
//! Words of nProbe and Cento: [`ntop`].

mod check;
mod depth;
mod error;
mod generic;
mod input;
mod kafka;
mod list;
pub mod ntop;
mod ntopng;
mod outputs;
mod sinks;
mod spool;
mod words;
mod zmq;

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use flow_wire::endpoint::Endpoint;
use uuid::Uuid;

pub use check::MOST_WORKERS;
pub(crate) use check::shunt_or_expression;
pub use depth::Depth;
pub use error::Error;
pub use input::Input;
pub use ntopng::Ntop;
pub use spool::Spool;
pub use words::{AcknowledgeWord, CaptureWord, QueueModeWord, SpoolSyncWord, WaitWord, Words, XdpModeWord};
pub use zmq::Zmq;

use crate::export::kafka::{Options, flows as kafka_flows};
use crate::run::host::Interface;
use crate::source::bpf::Expression;
use crate::source::xdp::CaptureFilter;
use crate::worker::Wait;

/// No configuration is longer.
const LONGEST_FILE_OCTETS: u64 = 1 << 20;

const ABOUT: &str =
    "Turns packets into flows, and sends them to Kafka or ZMQ, with every packet accounted for.";

const EXAMPLES: &str = "\
Examples:
  gannet-probe -i eno1                                     look: a line of statistics a second
  gannet-probe -i eno1 --ntopng kafka://192.168.2.225      flows to a broker
  gannet-probe -i eno1 --kafka 'localhost;flows'           the same as JSON, for any reader of Kafka
  gannet-probe -i eno1,eno2 --ntopng zmq://127.0.0.1:1234  two interfaces, no broker
  gannet-probe -i trace.pcap --flows - --ledger books.json a capture file, flows on stdout
  gannet-probe /etc/gannet/probe.conf                      options from a file, as nProbe takes them
  gannet-probe spool list                                  what the bus has not taken yet

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the books do not balance, 4 more lost than --max-loss.
Stop it with Ctrl-C or SIGTERM: it drains within 10 seconds.";

/// The command line of `gannet-probe`.
#[derive(Debug, clap::Parser)]
#[command(name = "gannet-probe", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
#[command(disable_help_flag = true, disable_version_flag = true)]
// `--state-dir X spool drop` would else drop from the spool of another directory, since a sub-command has options of its own.
#[command(args_conflicts_with_subcommands = true, allow_negative_numbers = true)]
pub struct CommandLine {
    /// Options that a file may give as well.
    #[command(flatten)]
    pub words: Words,

    /// Read options from a file, TOML or nProbe's own (-x=value a line); the command line wins
    #[arg(long, value_name = "FILE", help_heading = "Running")]
    pub config: Option<PathBuf>,

    /// Check the configuration, say what it amounts to, and end
    #[arg(long, help_heading = "Running")]
    pub check_config: bool,

    /// Look at what a probe keeps, instead of running one.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Print this page
    #[arg(short = 'h', long, global = true, action = clap::ArgAction::HelpShort, help_heading = "Running")]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version, help_heading = "Running")]
    version: Option<bool>,
}

/// What else the program does.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// List what can be told of a flow: the fields of -T
    Fields {
        /// A list, or the schema of --kafka's messages
        #[arg(
            long,
            value_name = "list|avro|proto",
            default_value = "list",
            hide_default_value = true,
            hide_possible_values = true
        )]
        format: SchemaWord,

        /// Fields of the schema, as the probe has them [default: @NTOPNG@]
        #[arg(short = 'T', long, value_name = "TEMPLATE")]
        template: Option<String>,
    },
    /// Look at the spool: batches that a bus has not taken yet
    Spool {
        /// What to do.
        #[command(subcommand)]
        action: SpoolAction,
    },
}

/// How fields are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaWord {
    /// For people.
    List,
    /// Avro's schema.
    Avro,
    /// A `.proto` file.
    Proto,
}

/// What can be done with a spool.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum SpoolAction {
    /// List its readers, and what waits for each
    List {
        /// The probe's state directory
        #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
        state_dir: PathBuf,
    },
    /// Forget a reader: what waits for it is discarded, and counted as cursor_dropped
    Drop {
        /// As `spool list` writes it
        #[arg(value_name = "NAME")]
        name: String,
        /// The probe's state directory
        #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
        state_dir: PathBuf,
    },
}

/// Where a probe keeps its identity and its spool, unless it is told otherwise.
pub const STATE_DIR: &str = "/var/lib/gannet";

/// A configuration that can run: every value is in its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where packets come from; never empty.
    pub inputs: Vec<Input>,
    /// How interfaces are captured.
    pub capture: Capture,
    /// When flows end, and how many there may be.
    pub flows: Flows,
    /// Threads and their cores.
    pub workers: Workers,
    /// Where records go.
    pub output: Output,
    /// UUID that was asked for, else the one of the state directory.
    pub probe_id: Option<Uuid>,
    /// Where identity and spool are kept.
    pub state_dir: PathBuf,
    /// Where flows are kept that survive a kill; `None` = they do not.
    pub recovery_dir: Option<PathBuf>,
    /// Where the kernel keeps the XDP program's side of it, if flows survive a kill.
    pub bpf_dir: PathBuf,
    /// Print at the end how long the stages of the workers took.
    pub stage_times: bool,
    /// Where metrics are served.
    pub http: Option<SocketAddr>,
    /// User to become after the start; `None` = stay.
    pub user: Option<String>,
}

/// What is captured.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The rules of `--capture-filter`, as they were written.
    pub rules: Vec<String>,
    /// The same, read.
    pub filter: CaptureFilter,
    /// Of `-f`.
    pub expression: Option<Expression>,
}

/// How interfaces are captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// AF_XDP, packet socket, or what fits the interface.
    pub mode: CaptureWord,
    /// What is captured.
    pub filter: CaptureFilter,
    /// Octets that a packet socket captures of a packet; `None` = all.
    pub snap_octets: Option<u32>,
    /// What is metered of it, by `-f`.
    pub expression: Option<Expression>,
    /// See everything on the wire.
    pub promiscuous: bool,
    /// Meter what the host sends, too.
    pub outgoing: bool,
    /// Receive queues to take; `None` = all.
    pub queues: Option<Vec<u32>>,
    /// Which worker serves which of them.
    pub queue_mode: QueueModeWord,
    /// How deep a queue's RX rings are.
    pub depth: Depth,
    /// Octets of a UMEM frame.
    pub frame_size_octets: u32,
    /// UMEM in hugepages.
    pub hugepages: bool,
    /// Busy-poll time; zero = off.
    pub busy_poll: Duration,
    /// AF_XDP mode.
    pub xdp_mode: XdpModeWord,
    /// How workers wait for packets.
    pub wait: Wait,
    /// Packets one way from which on the XDP program counts a flow itself; `None` = it never does.
    pub shunt: Option<u64>,
}

/// When flows end, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flows {
    /// Longest life of a record.
    pub active_timeout: Duration,
    /// By how much less a record may live, by its flow's hash.
    pub active_perturbation: Duration,
    /// Silence that ends a flow.
    pub idle_timeout: Duration,
    /// Open flows, over all workers.
    pub capacity: usize,
    /// Buckets, over all workers: a hint.
    pub buckets: Option<usize>,
}

/// Threads and their cores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    /// How many; `None` = what inputs and cores allow.
    pub count: Option<usize>,
    /// Core of each worker; empty = not asked for.
    pub cores: Vec<usize>,
}

/// Where records and books go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Buses.
    pub sinks: Vec<Endpoint>,
    /// What waits for a bus is kept on disk; `None` = in memory alone.
    pub spool: Option<Spool>,
    /// How topics are made, and further settings of the Kafka client.
    pub kafka: Options,
    /// Acknowledgements and encryption of ZMQ.
    pub zmq: Zmq,
    /// Topics of the user's, with flows as anybody reads them.
    pub topics: Vec<kafka_flows::Flows>,
    /// For people: names of options that will go away, what is asked for and not done.
    pub sentences: Vec<String>,
    /// JSON lines; `-` = stdout.
    pub flows: Option<PathBuf>,
    /// The ledger, at exit.
    pub ledger: Option<PathBuf>,
    /// Losses that are still exit code 0; `None` = any.
    pub max_loss: Option<u64>,
}

impl Output {
    /// Whether records go to others, who know this probe again.
    pub fn has_bus(&self) -> bool {
        !(self.sinks.is_empty() && self.topics.is_empty())
    }
}

impl CommandLine {
    /// Lays the command line over the file and checks the whole against the interfaces that there are.
    pub fn config(&self, interfaces: &[Interface]) -> Result<Config, Error> {
        // Words of a list are those of the command line, or those of the file: they are not mixed.
        let settings_file = self.config.as_deref().filter(|_| self.words.kafka_conf.is_empty());
        let config = check::check(&self.words()?, interfaces, settings_file)?;
        outputs::check(&config, self.config.as_deref())?;
        Ok(config)
    }

    /// What is captured alone, as it is written now.
    ///
    /// # Errors
    /// The file cannot be read, or a rule is not understood.
    pub fn selected(&self) -> Result<Selected, Error> {
        let words = self.words()?;
        let filter = CaptureFilter::parse(&words.capture_filter)?;
        Ok(Selected { filter, expression: check::expression(&words), rules: words.capture_filter })
    }

    /// Whether `--kafka-conf list` is there.
    pub fn wants_settings_listed(&self) -> bool {
        self.words.kafka_conf.iter().any(|word| word == "list")
    }

    fn words(&self) -> Result<Words, Error> {
        let mut words = match &self.config {
            Some(path) => overlay(path, &self.words)?,
            None => self.words.clone(),
        };
        ntop::defaults(&mut words);
        Ok(words)
    }
}

fn overlay(path: &Path, command_line: &Words) -> Result<Words, Error> {
    let text = read(path).map_err(|reason| Error::File { path: path.to_path_buf(), reason })?;
    let file = if ntop::is_of_nprobe(path, &text) {
        Figment::from(Serialized::defaults(ntop::read(path, &text)?))
    } else {
        Figment::from(Toml::string(&text))
    };
    file.merge(Serialized::defaults(command_line))
        .extract()
        .map_err(|error| Error::File { path: path.to_path_buf(), reason: explain(error) })
}

/// The whole of a file, once: it may be a pipe, and what is no configuration may be large.
fn read(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut octets = Vec::new();
    file.take(LONGEST_FILE_OCTETS + 1).read_to_end(&mut octets).map_err(|error| error.to_string())?;
    if octets.len() as u64 > LONGEST_FILE_OCTETS {
        return Err(format!("longer than {LONGEST_FILE_OCTETS} octets: a capture file is read with -i"));
    }
    String::from_utf8(octets).map_err(|_| "no text: a capture file is read with -i".to_owned())
}

/// Without the parser's names for itself: the key as it stands in the file, and what is wrong with it.
fn explain(error: figment::Error) -> String {
    let say = |error: figment::Error| match error.path.join(".") {
        key if key.is_empty() => error.kind.to_string(),
        key => format!("key `{key}`: {}", error.kind),
    };
    error.into_iter().map(say).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
