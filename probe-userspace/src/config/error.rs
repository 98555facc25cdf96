//! What can be wrong with a configuration. Each message names the option, the value and the mend.

use std::path::PathBuf;

/// A configuration that cannot run: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The TOML file cannot be read or has a wrong key or type.
    #[error("--config {}: {reason}\n  mend: the keys are the long options, e.g. `interface = [\"eno1\"]`; \
             see `gannet-probe --help`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the parser said, with key and value.
        reason: String,
    },
    /// A line of nProbe's kind of configuration file; 0 = the file as a whole.
    #[error("{}{}: {reason}", path.display(), if *line > 0 { format!(", line {line}") } else { String::new() })]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// No input at all.
    #[error(
        "-i is missing: nothing to capture from\n  mend: name an interface ({interfaces}) or a capture file"
    )]
    NoInput {
        /// What there is.
        interfaces: String,
    },
    /// Neither an interface nor a file.
    #[error(
        "-i {name}: there is no such interface, and no such file\n  mend: the interfaces here are {interfaces}"
    )]
    NoSuchInput {
        /// As it was written.
        name: String,
        /// What there is.
        interfaces: String,
    },
    /// A folder in the place of a file.
    #[error("-i {name}: is a directory\n  mend: name a capture file in it, or an interface")]
    Directory {
        /// As it was written.
        name: String,
    },
    /// One input twice.
    #[error("-i {name}: named twice, and each packet would be counted twice\n  mend: name it once")]
    InputTwice {
        /// As it was written.
        name: String,
    },
    /// A number out of its range.
    #[error("{option} {value}: must be {low} to {high} {unit}\n  mend: {mend}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// Its value.
        value: u64,
        /// Smallest that is allowed.
        low: u64,
        /// Largest that is allowed.
        high: u64,
        /// Of what.
        unit: &'static str,
        /// What to do.
        mend: &'static str,
    },
    /// More memory than there is.
    #[error(
        "{options}: the flow caches would take {needed} MB, and {available} MB are available\n  mend: ask for fewer flows \
         (--check-config tries it), or free memory"
    )]
    Memory {
        /// `-M` and `-w`, with their values.
        options: String,
        /// Megabytes.
        needed: u64,
        /// Megabytes.
        available: u64,
    },
    /// A word that is not understood.
    #[error("{option} {value}: {reason}\n  mend: {mend}")]
    Word {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        mend: String,
    },
    /// Two options that cannot both hold.
    #[error("{first} and {second} contradict each other: {reason}\n  mend: {mend}")]
    Contradiction {
        /// One, with its value.
        first: String,
        /// The other, with its value.
        second: String,
        /// Why not both.
        reason: &'static str,
        /// What to do.
        mend: &'static str,
    },
    /// A URL that is no endpoint.
    #[error("{option}: {error}")]
    Endpoint {
        /// The option.
        option: &'static str,
        /// What is wrong, with the value and the mend.
        error: flow_wire::endpoint::Error,
    },
    /// A setting of the Kafka client.
    #[error(transparent)]
    KafkaConf(#[from] flow_wire::kafka_conf::Error),
    /// A rule of the capture filter.
    #[error(transparent)]
    Filter(#[from] crate::source::xdp::filter::Error),
    /// The expression of `-f`.
    #[error(transparent)]
    Expression(#[from] crate::source::bpf::Error),
    /// A file and an interface.
    #[error(
        "-i {file} is a capture file and -i {interface} is not: a file has its own time\n  mend: meter them by two \
         runs, to the same --ntopng if you like"
    )]
    FileAndInterface {
        /// One of the files.
        file: String,
        /// One of the interfaces.
        interface: String,
    },
    /// One bus twice.
    #[error("{option} {url}: named twice, and each flow would be there twice\n  mend: name it once")]
    SinkTwice {
        /// The option.
        option: &'static str,
        /// As it was written.
        url: String,
    },
    /// The kernel would not list its interfaces.
    #[error("cannot list the network interfaces: {0}")]
    Interfaces(#[from] std::io::Error),
}
