//! From words to a configuration: ranges, lists, and what contradicts what.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Capture, Config, Error, Flows, Output, Words, Workers, generic, input, kafka, list, sinks, zmq};
use crate::run::host::Interface;
use crate::source::bpf::Expression;
use crate::source::xdp::CaptureFilter;

/// nProbe's defaults for `-t` and `-d` (its user's guide, "Command Line Options").
const ACTIVE_TIMEOUT_SECONDS: u64 = 120;
const IDLE_TIMEOUT_SECONDS: u64 = 30;
/// A day: a longer record could not be told from a probe that stopped exporting.
const LONGEST_TIMEOUT_SECONDS: u64 = 86_400;
/// Some 100 MB of flow cache (two slots a flow), what nProbe's 131,072 buckets hold at two flows each.
const FLOWS: u64 = 1 << 18;
const FEWEST_FLOWS: u64 = 1 << 6;
/// Beyond this a cache is tens of gigabytes: a slip of the keyboard rather than a wish.
const MOST_FLOWS: u64 = 1 << 28;
/// A cache that is full and yet all but empty would be searched for a flow to give up; two places a flow are the default.
const MOST_PLACES_PER_FLOW: u64 = 16;
/// tmpfs wherever systemd is, and most other places.
const RECOVERY_DIR: &str = "/run/gannet";
const BPF_DIR: &str = "/sys/fs/bpf/gannet";
/// Holds an Ethernet frame of 1,500 octets with the kernel's headroom.
const FRAME_SIZE_OCTETS: u64 = 2048;
/// Ethernet with two tags, an IPv6 header and that of TCP: below it every packet would be cut off in its headers.
const SHORTEST_SNAP_OCTETS: u64 = 82;
/// As libpcap has it.
const LONGEST_SNAP_OCTETS: u64 = 262_144;
/// A shunt costs a worker some microseconds to begin and to end: it has to be worth it.
const FEWEST_SHUNT_PACKETS: u64 = 64;
const MOST_SHUNT_PACKETS: u64 = 1 << 32;
/// What `SO_BUSY_POLL` users take at most; longer spins starve the rest of the core.
const LONGEST_BUSY_POLL_MICROSECONDS: u64 = 1_000;
/// Each has a socket on every queue and a ring to every other worker: beyond this they cost more than a further core
/// brings, and a second probe on other interfaces is the better way.
pub const MOST_WORKERS: usize = 64;
/// Checks all that was written.
pub(super) fn check(
    words: &Words,
    interfaces: &[Interface],
    settings_file: Option<&Path>,
) -> Result<Config, Error> {
    let (sinks, mut sentences) = sinks::sinks(words)?;
    let zmq = zmq::zmq(words, &sinks)?;
    let kafka = kafka::options(words, settings_file)?;
    let (topics, of_topics) = generic::outputs(words, &kafka.prefix)?;
    sentences.extend(of_topics);
    Ok(Config {
        inputs: input::resolve(&words.interface, interfaces)?,
        capture: capture(words)?,
        flows: flows(words)?,
        workers: workers(words)?,
        output: Output {
            sinks,
            spool: super::spool::spool(words)?,
            kafka,
            topics,
            zmq,
            sentences,
            flows: words.flows.clone(),
            ledger: words.ledger.clone(),
            max_loss: words.max_loss,
        },
        probe_id: probe_id(words)?,
        state_dir: state_dir(words),
        recovery_dir: (!words.no_recovery)
            .then(|| words.recovery_dir.clone().unwrap_or_else(|| RECOVERY_DIR.into())),
        bpf_dir: words.bpf_dir.clone().unwrap_or_else(|| BPF_DIR.into()),
        stage_times: words.stage_times,
        http: words.http.as_deref().map(http).transpose()?,
        user: user(words),
    })
}

pub(super) fn state_dir(words: &Words) -> PathBuf {
    words.state_dir.clone().unwrap_or_else(|| "/var/lib/gannet".into())
}

fn capture(words: &Words) -> Result<Capture, Error> {
    shunt_or_expression(words.shunt.is_some(), expression(words).as_ref())?;
    let queues = words.queues.as_deref().map(|text| numbers("--queues", text)).transpose()?;
    Ok(Capture {
        mode: words.capture.unwrap_or_default(),
        filter: CaptureFilter::parse(&words.capture_filter)?,
        snap_octets: words.snaplen.map(snap_octets).transpose()?,
        expression: expression(words),
        promiscuous: !words.no_promisc,
        outgoing: words.outgoing,
        queues,
        queue_mode: words.queue_mode.unwrap_or_default(),
        depth: super::depth::depth(words)?,
        frame_size_octets: frame_size(words)? as u32,
        hugepages: words.hugepages,
        busy_poll: Duration::from_micros(ranged(
            ("--busy-poll", words.busy_poll.unwrap_or(0)),
            (0, LONGEST_BUSY_POLL_MICROSECONDS, "microseconds"),
            "50 is a usual value, 0 turns it off",
        )?),
        xdp_mode: words.xdp_mode.unwrap_or_default(),
        wait: words.wait.unwrap_or_default().into(),
        shunt: words.shunt.map(shunt).transpose()?,
    })
}

/// An empty one selects everything, as none does. It is compiled once the link types are known.
pub(super) fn expression(words: &Words) -> Option<Expression> {
    let expression = Expression::new(words.bpf_filter.as_deref()?);
    (!expression.text().is_empty()).then_some(expression)
}

/// The XDP program counts whole flows, and knows nothing of an expression: it would count packets that the workers are to leave out.
///
/// # Errors
/// Both are there.
pub(crate) fn shunt_or_expression(is_shunting: bool, expression: Option<&Expression>) -> Result<(), Error> {
    match expression.filter(|_| is_shunting) {
        None => Ok(()),
        Some(expression) => Err(word(
            "-f",
            format!("'{expression}'"),
            "with --shunt the XDP program counts flows without it",
            "use --capture-filter, which the program knows, or leave one of both out".into(),
        )),
    }
}

fn snap_octets(octets: u64) -> Result<u32, Error> {
    let range = (SHORTEST_SNAP_OCTETS, LONGEST_SNAP_OCTETS, "octets");
    ranged(("-s", octets), range, "128 hold the headers of most packets; leave it out for whole packets")
        .map(|octets| octets as u32)
}

fn shunt(packets: u64) -> Result<u64, Error> {
    let range = (FEWEST_SHUNT_PACKETS, MOST_SHUNT_PACKETS, "packets");
    ranged(("--shunt", packets), range, "1000 finds the flows that carry most; leave it out to shunt none")
}

fn frame_size(words: &Words) -> Result<u64, Error> {
    match words.frame_size.unwrap_or(FRAME_SIZE_OCTETS) {
        octets @ (2048 | 4096) => Ok(octets),
        octets => Err(word(
            "--frame-size",
            octets,
            "AF_XDP takes chunks of 2048 or 4096 octets",
            "take one of them".into(),
        )),
    }
}

fn flows(words: &Words) -> Result<Flows, Error> {
    let timeouts = (1, LONGEST_TIMEOUT_SECONDS, "seconds");
    let active = ranged(
        ("-t", words.lifetime_timeout.unwrap_or(ACTIVE_TIMEOUT_SECONDS)),
        timeouts,
        "leave it out for 120",
    )?;
    let perturbation = ranged(
        ("--lifetime-perturbation", words.lifetime_perturbation.unwrap_or(0)),
        (0, active - 1, "seconds at this -t"),
        "a record lives a second at least: ask for less, or for a longer -t",
    )?;
    let idle =
        ranged(("-d", words.idle_timeout.unwrap_or(IDLE_TIMEOUT_SECONDS)), timeouts, "leave it out for 30")?;
    let range = (FEWEST_FLOWS, MOST_FLOWS, "flows");
    let capacity = ranged(("-M", words.max_num_flows.unwrap_or(FLOWS)), range, "leave it out for 262144")?;
    let most = capacity.saturating_mul(MOST_PLACES_PER_FLOW);
    let buckets = words
        .hash_size
        .map(|buckets| ranged(("-w", buckets), (1, most, "at this -M"), "leave it out: it follows -M"))
        .transpose()?;
    Ok(Flows {
        active_timeout: Duration::from_secs(active),
        active_perturbation: Duration::from_secs(perturbation),
        idle_timeout: Duration::from_secs(idle),
        capacity: capacity as usize,
        buckets: buckets.map(|buckets| buckets as usize),
    })
}

fn workers(words: &Words) -> Result<Workers, Error> {
    let count = words
        .workers
        .map(|count| {
            ranged(
                ("--workers", count),
                (1, MOST_WORKERS as u64, "threads"),
                "at most one a core is useful; for more interfaces run a further probe",
            )
        })
        .transpose()?;
    let cores = match &words.cpu_affinity {
        Some(text) => numbers("--cpu-affinity", text)?,
        None => Vec::new(),
    };
    if cores.len() > MOST_WORKERS {
        ranged(
            ("--cpu-affinity", cores.len() as u64),
            (1, MOST_WORKERS as u64, "cores"),
            "list fewer; for more interfaces run a further probe",
        )?;
    }
    if let Some(count) = count
        && !cores.is_empty()
        && cores.len() as u64 != count
    {
        return Err(Error::Contradiction {
            first: format!("--workers {count}"),
            second: format!("--cpu-affinity {}", words.cpu_affinity.as_deref().unwrap_or_default()),
            reason: "a core is listed for each worker",
            mend: "list as many cores as there are workers, or leave --workers out",
        });
    }
    let cores: Vec<usize> = cores.into_iter().map(|core| core as usize).collect();
    let count = count.map(|count| count as usize).or((!cores.is_empty()).then_some(cores.len()));
    Ok(Workers { count, cores })
}

fn probe_id(words: &Words) -> Result<Option<uuid::Uuid>, Error> {
    let parse = |text: &String| {
        text.parse().map_err(|_| {
            word(
                "--probe-id",
                text,
                "not a UUID",
                "leave it out: one is made and kept in the state directory".into(),
            )
        })
    };
    words.probe_id.as_ref().map(parse).transpose()
}

fn http(text: &str) -> Result<SocketAddr, Error> {
    let full = match text.strip_prefix(':').unwrap_or(text) {
        port if port.parse::<u16>().is_ok() => format!("127.0.0.1:{port}"),
        _ => text.replace("localhost:", "127.0.0.1:"),
    };
    full.parse().map_err(|_| {
        word(
            "--http",
            text,
            "not a port, nor an address with a port",
            "e.g. 9101, 0.0.0.0:9101 or [::1]:9101".into(),
        )
    })
}

fn user(words: &Words) -> Option<String> {
    match words.user.as_deref().unwrap_or("nobody") {
        "root" => None,
        name => Some(name.to_string()),
    }
}

fn numbers(option: &'static str, text: &str) -> Result<Vec<u32>, Error> {
    list::numbers(text)
        .map_err(|reason| word(option, text, &reason, "write numbers and ranges, e.g. 0-3,6".into()))
}

pub(super) fn ranged(
    (option, value): (&'static str, u64),
    (low, high, unit): (u64, u64, &'static str),
    mend: &'static str,
) -> Result<u64, Error> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Error::OutOfRange { option, value, low, high, unit, mend })
}

pub(super) fn word(option: &'static str, value: impl ToString, reason: &str, mend: String) -> Error {
    Error::Word { option, value: value.to_string(), reason: reason.to_string(), mend }
}
