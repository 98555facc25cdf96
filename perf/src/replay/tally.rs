//! What was sent, what arrived, and what the device says of it.

use std::collections::BTreeMap;
use std::time::Duration;

use flow_wire::ledger::Amount;
use serde::Serialize;

use super::{By, Error};
use crate::kernel::device::Device;
use crate::traffic::Skipped;

/// Counts while frames are sent.
#[derive(Clone, Debug)]
pub struct Tally {
    sent: Amount,
    arrived: Amount,
    errors: u64,
    vanished: u64,
    elapsed: Duration,
    /// The driver's counters: first as they were, in the end by how much they grew.
    device: BTreeMap<String, u64>,
    dropped_before: u64,
}

/// What is printed when all is sent.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Onto which device.
    pub interface: String,
    /// By which way.
    pub by: By,
    /// Frames handed to the kernel.
    pub sent: Amount,
    /// Of those, refused by the device for want of room, by its own counter or its answer.
    pub errors: u64,
    /// Of those, neither taken nor refused: the peer lost its NAPI while we sent (its probe ended).
    pub vanished: u64,
    /// Of those, taken by the device: what the peer got.
    pub arrived: Amount,
    /// Packets of the capture file that were not sent.
    pub skipped: Skipped,
    /// How long it took.
    pub seconds: f64,
    /// Frames handed to the kernel a second.
    pub packets_per_second: f64,
    /// By how much the driver's own counters grew.
    pub device: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn new(device: &Device) -> Result<Self, Error> {
        Ok(Self {
            sent: Amount::ZERO,
            arrived: Amount::ZERO,
            errors: 0,
            vanished: 0,
            elapsed: Duration::ZERO,
            device: device.driver_counters()?,
            dropped_before: device.transmit_dropped()?,
        })
    }

    /// Frames handed to the kernel.
    pub(super) fn sent(&self) -> u64 {
        self.sent.packets
    }

    /// Adds copies of one frame: how many the device took and how many it refused.
    pub(super) fn add(&mut self, copies: u32, octets: usize, taken: u64, errors: u64) {
        let copies = u64::from(copies);
        let octets = octets as u64;
        self.sent += Amount { packets: copies, octets: copies * octets };
        self.arrived += Amount { packets: taken, octets: taken * octets };
        self.errors += errors;
        self.vanished += copies.saturating_sub(taken + errors);
    }

    /// Reads the device's counters a last time.
    pub(super) fn end(&mut self, elapsed: Duration, by: By, device: &Device) -> Result<(), Error> {
        self.elapsed = elapsed;
        let dropped = device.transmit_dropped()?.saturating_sub(self.dropped_before);
        if by == By::PacketSocket && dropped > self.errors {
            return Err(Error::Silent { device: device.name(), dropped, errors: self.errors });
        }
        for (name, value) in device.driver_counters()? {
            let before = self.device.entry(name).or_default();
            *before = value.saturating_sub(*before);
        }
        self.device.retain(|_, grown| *grown > 0);
        Ok(())
    }

    /// What is printed.
    #[must_use]
    pub fn report(&self, interface: &str, by: By, skipped: Skipped) -> Report {
        let seconds = self.elapsed.as_secs_f64();
        Report {
            interface: interface.to_owned(),
            by,
            sent: self.sent,
            errors: self.errors,
            vanished: self.vanished,
            arrived: self.arrived,
            skipped,
            seconds,
            packets_per_second: if seconds > 0.0 { self.sent.packets as f64 / seconds } else { 0.0 },
            device: self.device.clone(),
        }
    }
}
