//! nProbe's and Cento's options, one by one: what they mean there, and what there is here. The one place that says it: refusals, `--cento`
//! and deploy/guide/ntop-options.md come of it. Meanings are those of ntop's manuals ("Command Line Options" of nProbe and of Cento).

mod cento;
mod nprobe;

/// Whose options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Nprobe,
    /// Only with `--cento`.
    Cento,
}

impl Program {
    /// Its options.
    pub(super) const fn table(self) -> &'static [Entry] {
        match self {
            Self::Nprobe => nprobe::TABLE,
            Self::Cento => cento::TABLE,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nprobe => "nProbe",
            Self::Cento => "Cento",
        }
    }
}

/// What there is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Here {
    /// The same name and meaning; what differs, if anything.
    Same(&'static str),
    /// Other words of ours with the same meaning; `{}` stands for the value.
    As(&'static [&'static str], &'static str),
    /// Nothing yet, or nothing at all: what to use.
    Instead(&'static str),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) short: Option<char>,
    pub(super) long: Option<&'static str>,
    pub(super) takes_value: bool,
    pub(super) meaning: &'static str,
    pub(super) here: Here,
}

/// `-x`, `--long`, or both: `(letter, "word")`, with ' ' and "" for what there is not.
const fn entry(
    (short, long): (char, &'static str),
    takes_value: bool,
    meaning: &'static str,
    here: Here,
) -> Entry {
    let short = if short == ' ' { None } else { Some(short) };
    let long = if long.is_empty() { None } else { Some(long) };
    Entry { short, long, takes_value, meaning, here }
}

const FLAG: bool = false;
const VALUE: bool = true;
const LATER_IPFIX: &str =
    "NetFlow and IPFIX are not exported yet: --ntopng kafka://HOST or zmq://HOST:PORT, or --flows FILE";
const LATER_DUMP: &str = "files are written as JSON lines: --flows FILE";
const LATER_COLLECT: &str =
    "the probe meters packets and collects no flows; gannet-collector takes those of gannet-probe";
const LATER_DPI: &str = "there is no application recognition yet; -f selects by address, port and protocol";
const LATER_LOCAL: &str =
    "addresses are exported as they are; -f or --capture-filter 'net PREFIX' meters local networks alone";
const IFINDEX: &str = "records carry the kernel's index of the interface (IPFIX 10)";
const SERVICE: &str = "run it as a service: systemctl start gannet-probe (deploy/systemd)";
const EGRESS: &str =
    "packets are metered and not sent on; in AF_XDP mode what --capture-filter leaves out goes to the host";
const SAMPLE: &str = "every packet is metered; --shunt makes elephants cheap, --capture-filter narrows";
