//! Faults on purpose. A build with the feature `fault-injection` loses or doubles one thing at one hop, and the ledger
//! must name that hop. Every other build compiles [`take`] to a constant `None` and does not look at the variable.
//!
//! `GANNET_FAULT=<hop>:lose` or `GANNET_FAULT=<hop>:double`; it hits once. Not at the device: no driver says exactly how
//! many frames it gave to the program (veth's `rx_queue_N_xdp_packets` runs on while the program is being attached and
//! detached, and counts after the program did), so `offered` is unknown in a run, and only tests of the identity have it.
//!
//! `GANNET_MUTANT=<name>` gets a step of the delivery protocol wrong for as long as the process lives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The environment variable.
pub const VARIABLE: &str = "GANNET_FAULT";

/// A step between NIC and row, in the order of the data path: where a packet, record or batch can go astray.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// The device, up to the program: `offered` against `seen`.
    Device,
    /// The program (or the packet socket, or the file reader): every seen frame has exactly one outcome.
    Kernel,
    /// From the program to the worker: `redirected` against `received`.
    Receive,
    /// The worker: received packets against metered and excepted ones.
    Meter,
    /// From the program's own counters of flows to those flows: what it counted against what was merged (`--shunt`).
    Shunt,
    /// From flow cache to encoded batch: metered packets against those in records.
    Export,
    /// From record to outbox: sealed records against those that the sinks were given.
    Batch,
    /// From outbox to bus, and on it: acknowledged records against those that arrived.
    Bus,
    /// In the collector before the store: arrived records against those handed to it.
    Ingest,
    /// In the store: rows that were handed over against rows that are there.
    Store,
}

impl Hop {
    /// All of them, in the order of the data path.
    pub const ALL: [Self; 10] = [
        Self::Device,
        Self::Kernel,
        Self::Receive,
        Self::Meter,
        Self::Shunt,
        Self::Export,
        Self::Batch,
        Self::Bus,
        Self::Ingest,
        Self::Store,
    ];

    /// Those that can be made to lose or double: all but the device.
    pub fn faulty() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|hop| *hop != Self::Device)
    }

    /// As in `GANNET_FAULT`, reports and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Kernel => "kernel",
            Self::Receive => "receive",
            Self::Meter => "meter",
            Self::Shunt => "shunt",
            Self::Export => "export",
            Self::Batch => "batch",
            Self::Bus => "bus",
            Self::Ingest => "ingest",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is done to one packet, record or batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It vanishes, and nothing counts it.
    Lose,
    /// It goes on twice, and is counted once.
    Double,
}

/// A value of `GANNET_FAULT` that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{VARIABLE}='{0}' is not HOP:lose or HOP:double with HOP one of kernel, receive, meter, shunt, export, batch, bus, ingest, store"
)]
pub struct Error(String);

/// One fault at one hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub hop: Hop,
    /// What.
    pub fault: Fault,
}

impl FromStr for Plan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error(text.to_owned());
        let (hop, fault) = text.split_once(':').ok_or_else(wrong)?;
        let hop = Hop::faulty().find(|known| known.name() == hop).ok_or_else(wrong)?;
        let fault = match fault {
            "lose" => Fault::Lose,
            "double" => Fault::Double,
            _ => return Err(wrong()),
        };
        Ok(Self { hop, fault })
    }
}

/// What the environment asks for. A process calls it at its start, so that a misspelt fault does not pass for a sound run.
pub fn plan() -> Result<Option<Plan>, Error> {
    if !cfg!(feature = "fault-injection") {
        return Ok(None);
    }
    std::env::var(VARIABLE).ok().map(|text| text.parse()).transpose()
}

/// The fault that is due at this hop: `Some` at most once in the life of the process.
#[cfg(feature = "fault-injection")]
pub fn take(hop: Hop) -> Option<Fault> {
    use std::sync::OnceLock;
    static ARMED: OnceLock<Armed> = OnceLock::new();
    ARMED.get_or_init(|| Armed::new(plan().ok().flatten())).take(hop)
}

/// The fault that is due at this hop: none, in this build.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub const fn take(_hop: Hop) -> Option<Fault> {
    None
}

/// The environment variable that names a [`Mutant`].
pub const MUTANT_VARIABLE: &str = "GANNET_MUTANT";

/// A step of the delivery protocol done wrong all the time: the chaos harness must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A sink's cursor moves when a batch is handed to it, not when it is acknowledged.
    CursorFirst,
    /// The collector keeps the highest sequence of a stream instead of a received set.
    HighWaterMark,
    /// The collector stores whatever comes.
    NoDedupe,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CursorFirst, Self::HighWaterMark, Self::NoDedupe];

    /// As in `GANNET_MUTANT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CursorFirst => "cursor-first",
            Self::HighWaterMark => "high-water-mark",
            Self::NoDedupe => "no-dedupe",
        }
    }
}

/// Whether this process is that mutant.
#[cfg(feature = "fault-injection")]
pub fn is(mutant: Mutant) -> bool {
    use std::sync::OnceLock;
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    NAME.get_or_init(|| std::env::var(MUTANT_VARIABLE).ok()).as_deref() == Some(mutant.name())
}

/// Whether this process is that mutant: no, in this build.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub const fn is(_mutant: Mutant) -> bool {
    false
}

/// A plan that hits once, whichever thread comes first.
#[cfg(any(test, feature = "fault-injection"))]
struct Armed {
    plan: Option<Plan>,
    spent: std::sync::atomic::AtomicBool,
}

#[cfg(any(test, feature = "fault-injection"))]
impl Armed {
    fn new(plan: Option<Plan>) -> Self {
        Self { plan, spent: std::sync::atomic::AtomicBool::new(false) }
    }

    fn take(&self, hop: Hop) -> Option<Fault> {
        let plan = self.plan.filter(|plan| plan.hop == hop)?;
        // Relaxed: nothing else hangs on this flag.
        (!self.spent.swap(true, std::sync::atomic::Ordering::Relaxed)).then_some(plan.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hop_is_read_by_its_name() {
        for hop in Hop::faulty() {
            assert_eq!(format!("{hop}:lose").parse(), Ok(Plan { hop, fault: Fault::Lose }));
            assert_eq!(format!("{hop}:double").parse(), Ok(Plan { hop, fault: Fault::Double }));
            assert_eq!(serde_json::to_value(hop).unwrap(), hop.name());
        }
        for wrong in ["", "meter", "meter:", "nowhere:lose", "meter:keep", "meter:lose:2", "device:lose"] {
            assert!(wrong.parse::<Plan>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fault_hits_its_hop_once() {
        let armed = Armed::new(Some("export:double".parse().unwrap()));
        assert_eq!(armed.take(Hop::Meter), None);
        assert_eq!(armed.take(Hop::Export), Some(Fault::Double));
        assert_eq!(armed.take(Hop::Export), None);
    }

    #[cfg(not(feature = "fault-injection"))]
    #[test]
    fn an_ordinary_build_has_no_faults() {
        assert!(Hop::ALL.into_iter().all(|hop| take(hop).is_none()));
        assert!(!Mutant::ALL.into_iter().any(is));
    }
}
