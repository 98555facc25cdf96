//! One measurement, as it is printed and read again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What came in a window of time, and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `drop`, `xsk`, `tpacket`, `probe`.
    pub way: String,
    /// `poll`, `spin`, ..; of `drop`, `none`.
    pub wait: String,
    /// On which device.
    pub interface: String,
    /// Packets received, and those that the XDP program counted instead.
    pub packets: u64,
    /// Of those, counted by the XDP program.
    pub shunted_packets: u64,
    /// Their octets, without FCS.
    pub octets: u64,
    /// Length of the window.
    pub seconds: f64,
    /// Packets over seconds.
    pub packets_per_second: f64,
    /// CPU time of the thread that receives, in the window. A thread that spins has as much as there was to have.
    pub cpu_seconds: f64,
    /// CPU time of the whole process.
    pub process_cpu_seconds: f64,
    /// Time of the turns that found packets, by the clock; absent where the receiver has no turns.
    pub turn_seconds: Option<f64>,
    /// CPU time of the device's NAPI threads; absent where its NAPI is not threaded: then it was charged to others.
    pub napi_cpu_seconds: Option<f64>,
    /// Packets that came and were not received, by cause; entries beside them that explain and do not add up are named so.
    pub drops: BTreeMap<String, u64>,
    /// What ran where.
    pub placement: Placement,
}

/// Which CPUs the parts may use, as the kernel lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The thread that receives.
    pub receiver: String,
    /// Each NAPI thread by its name.
    pub napi: BTreeMap<String, String>,
}

impl Report {
    /// Nanoseconds of the receiving process a packet.
    #[must_use]
    pub fn process_nanoseconds(&self) -> f64 {
        self.process_cpu_seconds * 1e9 / self.packets.max(1) as f64
    }

    /// Of a receiver that spins, nanoseconds of CPU that it spends on packets, a packet: turns that found some, and the process's other threads.
    ///
    /// Who spins wants to run at any time, so what others take of its core falls on turns with packets and without alike.
    #[must_use]
    pub fn busy_nanoseconds(&self) -> Option<f64> {
        let turns = self.turn_seconds.filter(|_| self.wait == "spin")? * self.cpu_seconds / self.seconds;
        let others = self.process_cpu_seconds - self.cpu_seconds;
        Some((turns + others) * 1e9 / self.packets.max(1) as f64)
    }

    /// Nanoseconds of the receiving process and of NAPI a packet: all that receiving costs, where NAPI is threaded.
    #[must_use]
    pub fn receive_side_nanoseconds(&self) -> Option<f64> {
        Some(self.process_nanoseconds() + self.napi_nanoseconds()?)
    }

    /// Nanoseconds of the NAPI threads a packet.
    #[must_use]
    pub fn napi_nanoseconds(&self) -> Option<f64> {
        Some(self.napi_cpu_seconds? * 1e9 / self.packets.max(1) as f64)
    }
}
