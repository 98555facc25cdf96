//! The words of the command line. The TOML file has the same words, for it is the same struct.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::worker::Wait;

/// Every option as it was written: nothing is checked yet, and what was not said is `None`, empty or `false`,
/// so that a file and a command line can be laid over each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Words {
    /// Interface to capture from, or capture file to read; several: repeat it, or list them with commas
    #[arg(short = 'i', long, value_name = "IF|FILE", value_delimiter = ',', help_heading = "Input")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interface: Vec<String>,

    /// How to capture an interface [default: auto]
    ///   xdp     AF_XDP: takes the frames away from the host, for mirror and tap ports
    ///   packet  TPACKET_V3: only listens
    ///   auto    packet where the host itself uses the interface, else xdp
    #[arg(
        verbatim_doc_comment,
        long,
        value_name = "MODE",
        hide_possible_values = true,
        help_heading = "Input"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureWord>,

    /// Capture only what the rules select, e.g. 'net 10.0.0.0/8 port 443 not host 10.0.0.7'; repeatable
    #[arg(long, value_name = "RULE", help_heading = "Input")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capture_filter: Vec<String>,

    /// Meter only what a pcap-filter expression selects, as tcpdump takes it, e.g. 'udp port 53'
    #[arg(short = 'f', long, value_name = "EXPR", help_heading = "Input")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpf_filter: Option<String>,

    /// Octets that a packet socket captures of each packet [default: all]
    #[arg(short = 's', long, value_name = "OCTETS", help_heading = "Input")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snaplen: Option<u64>,

    /// No promiscuous mode: only what is addressed to the host is seen
    #[arg(long, help_heading = "Input")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_promisc: bool,

    /// Meter what the host sends, too (capture mode packet only: AF_XDP never sees it)
    #[arg(long, help_heading = "Input")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outgoing: bool,

    /// Receive queues to take, e.g. 0-3,6 [default: all]
    #[arg(long, value_name = "LIST", help_heading = "Input")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<String>,

    /// Which worker serves which queue [default: auto]
    ///   split   each queue has one worker, nothing is shared: for symmetric RSS
    ///   spread  every worker serves every queue, by flow
    ///   auto    split where the device's RSS is symmetric, with queues enough
    #[arg(
        verbatim_doc_comment,
        long,
        value_name = "MODE",
        hide_possible_values = true,
        help_heading = "Input"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_mode: Option<QueueModeWord>,

    /// Longest life of a record; a longer flow goes on in a next one [default: 120]
    #[arg(short = 't', long, value_name = "SECONDS", help_heading = "Flows")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_timeout: Option<u64>,

    /// A record may live up to so much shorter, by its flow's hash: flows that began together end apart [default: 0]
    #[arg(long, value_name = "SECONDS", help_heading = "Flows")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_perturbation: Option<u64>,

    /// Silence after which a flow ends [default: 30]
    #[arg(short = 'd', long, value_name = "SECONDS", help_heading = "Flows")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<u64>,

    /// Flows open at once, over all workers; a full bucket exports its oldest [default: 262144]
    #[arg(short = 'M', long, value_name = "FLOWS", help_heading = "Flows")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_num_flows: Option<u64>,

    /// Hash size, in places for flows: a hint, rounded up to what the cache can have, and reported
    #[arg(short = 'w', long, value_name = "BUCKETS", help_heading = "Flows")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_size: Option<u64>,

    /// Where flows go; repeatable
    ///   kafka://HOST[:PORT][,HOST..]  a broker, with kafka-ssl:// over TLS
    ///   zmq://HOST:PORT               bound by the probe, collectors connect
    #[arg(verbatim_doc_comment, long, value_name = "URL", help_heading = "Output")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ntopng: Vec<String>,

    /// Deprecated name of --ntopng zmq://HOST:PORT
    #[arg(long, value_name = "URL", help_heading = "Output")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zmq: Vec<String>,

    /// Keep batches on ZMQ until a collector has stored them [default: auto]
    ///   require  from the first batch on, for the first collector to come, encrypted or not
    ///   auto     from a collector's first word on, if it is encrypted or of this host
    ///   off      never: every reader is a plain subscriber
    #[arg(
        verbatim_doc_comment,
        long,
        value_name = "MODE",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zmq_acknowledge: Option<AcknowledgeWord>,

    /// Encrypt ZMQ (CURVE); collectors need the zmq-key.pub that is made in --state-dir
    #[arg(long, help_heading = "Output")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub zmq_encryption: bool,

    /// ntopng's public key (40 characters, or its .pub file): it is the CURVE server then, and collectors of ours cannot read. Any other file: our own secret
    /// key, the public one beside it with .pub instead of .priv
    #[arg(long, value_name = "KEY|FILE", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zmq_encryption_key: Option<PathBuf>,

    /// Public keys of the collectors that may connect, one a line [default: any]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zmq_clients: Option<PathBuf>,

    /// The probe connects and the collectors bind, as with a trailing c of the URL
    #[arg(long, help_heading = "Output")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub zmq_probe_mode: bool,

    /// How flows are written for ntopng: t (TLV), j (JSON), json-dotted, json-names [default: t]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zmq_format: Option<String>,

    /// Header of messages to ntopng: 3, or 2 or 1 for an older one [default: 3]
    #[arg(long, value_name = "N", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zmq_header_version: Option<u64>,

    /// No zlib for JSON to ntopng (it is used with header 2 and 1 alone)
    #[arg(long, help_heading = "Output")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub zmq_disable_compression: bool,

    /// Fields of a flow to ntopng and --kafka, as in nProbe; `fields` lists all [default: @NTOPNG@]
    #[arg(short = 'T', long, alias = "flow-templ", value_name = "TEMPLATE", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,

    /// Each flow as a message of a topic of yours: 'BROKERS;TOPIC[;OPTIONS;ACK;COMPRESSION]'; repeatable
    #[arg(long, value_name = "TOPIC", help_heading = "Output")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kafka: Vec<String>,

    /// How --kafka writes flows: json, avro or protobuf [default: json]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka_format: Option<String>,

    /// Names as keys of JSON instead of ntop's numbers (--kafka, --zmq-format j)
    #[arg(long, help_heading = "Output")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub json_labels: bool,

    /// @timestamp in the JSON of --kafka: the flow's last packet
    #[arg(long, help_heading = "Output")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kafka_add_timestamp: bool,

    /// Registry that is told the schema of --kafka, and whose id stands before each message
    #[arg(long, value_name = "URL", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_registry: Option<String>,

    /// The id that stands there, where it is known
    #[arg(long, value_name = "N", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<u64>,

    /// Write each flow as a line of JSON, with or without a bus; - is stdout
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<PathBuf>,

    /// Write the ledger as JSON when the run ends
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<PathBuf>,

    /// Exit with 4 when more than N packets were lost, lost records included [default: any loss is 0]
    #[arg(long, value_name = "N", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_loss: Option<u64>,

    /// Keep no spool: what waits when the probe stops or is killed is gone
    #[arg(long, help_heading = "Output")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_spool: bool,

    /// Disk space of the spool, e.g. 20G [default: 4G, half of what is free at most]
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_size: Option<String>,

    /// Discard what the bus has not taken for so long, e.g. 12h or 7d [default: 7d]
    #[arg(long, value_name = "TIME", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_age: Option<String>,

    /// When the spool is forced onto the disk, against a power cut [default: interval]
    ///   none      never: the kernel writes within half a minute or so
    ///   interval  once a second
    ///   batch     before a batch goes to the bus
    #[arg(
        verbatim_doc_comment,
        long,
        value_name = "WHEN",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_sync: Option<SpoolSyncWord>,

    /// Forget a reader that has not come for so long, e.g. 30d [default: 7d]
    #[arg(long, value_name = "TIME", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor_ttl: Option<String>,

    /// First part of the topics' names [default: gannet]
    #[arg(long, value_name = "WORD", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_prefix: Option<String>,

    /// Partitions of the flow topic where the probe makes it [default: 4]
    #[arg(long, value_name = "N", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_partitions: Option<u64>,

    /// Replicas of the topics where the probe makes them [default: the broker's]
    #[arg(long, value_name = "N", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_replication: Option<u64>,

    /// How long topics that the probe makes keep messages, e.g. 7d [default: the broker's]
    #[arg(long, value_name = "TIME", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_retention: Option<String>,

    /// A setting of librdkafka, or a file of them: passwords belong there; repeatable; `list` prints all
    #[arg(long, value_name = "K=V|@FILE|list", help_heading = "Output")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kafka_conf: Vec<String>,

    /// From so many packets one way on, the XDP program counts a flow itself [default: off]
    #[arg(long, value_name = "PACKETS", help_heading = "Tuning")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shunt: Option<u64>,

    /// Worker threads [default: what queues and cores allow]
    #[arg(long, value_name = "N", help_heading = "Tuning")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u64>,

    /// Cores to pin the workers to, one each, e.g. 2,3,4 or 2-4
    #[arg(long, value_name = "CORES", help_heading = "Tuning")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_affinity: Option<String>,

    /// Milliseconds of a worker's stall that rings outlast at 1 Mpps a queue [default: 16]
    #[arg(long, value_name = "MS", help_heading = "Tuning")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_tolerance: Option<u64>,

    /// Descriptors of a queue's rings, a power of two [default: by --stall-tolerance]
    #[arg(long, value_name = "FRAMES", help_heading = "Tuning")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_size: Option<u64>,

    /// Octets of a UMEM frame, 2048 or 4096; longer packets take several [default: 2048]
    #[arg(long, value_name = "OCTETS", help_heading = "Tuning")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_size: Option<u64>,

    /// UMEM in hugepages (reserve them by sysctl vm.nr_hugepages)
    #[arg(long, help_heading = "Tuning")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hugepages: bool,

    /// Busy-poll time of the sockets; NICs only, veth ignores it [default: 0 = off]
    #[arg(long, value_name = "MICROSECONDS", help_heading = "Tuning")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_poll: Option<u64>,

    /// zero-copy, copy, generic, or auto: the best of them that works, and says which [default: auto]
    #[arg(long, value_name = "MODE", hide_possible_values = true, help_heading = "Tuning")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xdp_mode: Option<XdpModeWord>,

    /// What a worker does when nothing comes: nap, poll, spin or adaptive [default: nap]
    ///   nap       it sleeps until the kernel wakes it; while packets keep coming, for some 100 microseconds, and nobody has to
    ///   poll      it sleeps until the kernel wakes it, always: for a worker on the core of its NAPI
    ///   spin      it never sleeps: the most packets, and a whole core each, whatever comes
    ///   adaptive  it spins for 50 microseconds after the last packet, then sleeps
    #[arg(
        verbatim_doc_comment,
        long,
        value_name = "MODE",
        hide_possible_values = true,
        help_heading = "Tuning"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<WaitWord>,

    /// Print at the end how long the stages of the workers took, one table (interfaces only)
    #[arg(long, help_heading = "Running")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stage_times: bool,

    /// Identity of this probe [default: made once, kept in the state directory]
    #[arg(long, value_name = "UUID", help_heading = "Running")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_id: Option<String>,

    /// Where the probe keeps its identity and its spool [default: /var/lib/gannet]
    #[arg(long, value_name = "DIR", help_heading = "Running")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,

    /// Where open flows outlive a kill: on tmpfs or hugetlbfs [default: /run/gannet]
    #[arg(long, value_name = "DIR", help_heading = "Running")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_dir: Option<PathBuf>,

    /// Where counters of the XDP program outlive a kill: on a BPF file system [default: /sys/fs/bpf/gannet]
    #[arg(long, value_name = "DIR", help_heading = "Running")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpf_dir: Option<PathBuf>,

    /// Nothing outlives a kill of the probe
    #[arg(long, help_heading = "Running")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_recovery: bool,

    /// Serve Prometheus metrics and health; HOST is 127.0.0.1 unless said [default: off]
    #[arg(long, value_name = "[HOST:]PORT", help_heading = "Running")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,

    /// Cento's meanings where they are not nProbe's: -g -W -a -z, and -t 300 -d 180
    #[arg(long, help_heading = "Running")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cento: bool,

    /// User to become once everything is open; root keeps all rights [default: nobody]
    #[arg(long, alias = "unprivileged-user", value_name = "NAME", help_heading = "Running")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// Values of `--capture`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureWord {
    /// Packet socket where the host uses the interface, AF_XDP where it does not.
    #[default]
    Auto,
    /// AF_XDP: exclusive.
    Xdp,
    /// TPACKET_V3: passive.
    Packet,
}

/// Values of `--queue-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueModeWord {
    /// Split where it is known to be safe.
    #[default]
    Auto,
    /// A queue has one worker.
    Split,
    /// A queue has all workers.
    Spread,
}

/// Values of `--zmq-acknowledge`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcknowledgeWord {
    /// From the first batch on.
    Require,
    /// From a collector's first word on.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Values of `--xdp-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum XdpModeWord {
    /// Zero-copy, else copy, else generic.
    #[default]
    Auto,
    /// The NIC writes into the UMEM.
    ZeroCopy,
    /// The driver runs the program, the kernel copies.
    Copy,
    /// The stack runs the program on its socket buffers.
    Generic,
}

/// Values of `--wait`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitWord {
    /// Sleep; nap while packets keep coming.
    #[default]
    Nap,
    /// Sleep.
    Poll,
    /// Never sleep.
    Spin,
    /// Spin for a moment, then sleep.
    Adaptive,
}

impl From<WaitWord> for Wait {
    fn from(word: WaitWord) -> Self {
        match word {
            WaitWord::Poll => Self::Poll,
            WaitWord::Nap => Self::Nap,
            WaitWord::Spin => Self::Spin,
            WaitWord::Adaptive => Self::Adaptive,
        }
    }
}

/// Values of `--spool-sync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpoolSyncWord {
    /// Never.
    None,
    /// Once a second.
    #[default]
    Interval,
    /// Before a batch goes out.
    Batch,
}
