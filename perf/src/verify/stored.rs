//! What a collector has stored, and what it says of its books.

use serde::Serialize;
use serde_json::Value;

use super::server::{Error, Server};

const PAGE: &str = "/api/v1/ledger";

/// Sums over all epochs of the collector's ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Packets in stored flows.
    pub packets: u64,
    /// Stored flows.
    pub records: u64,
    /// Packets that are known to be lost, from NIC to store.
    pub lost: u64,
    /// Packets that no term explains.
    pub residual: u64,
}

impl Stored {
    /// Of a collector, now.
    ///
    /// # Errors
    /// When it does not answer, or something else does.
    pub fn of(collector: &Server) -> Result<Self, Error> {
        let body = collector.get(PAGE)?;
        let strange = || collector.wrong(PAGE, "what is no ledger: it is no gannet-collector".to_owned());
        let ledger: Value = serde_json::from_str(&body).map_err(|_| strange())?;
        Self::parse(&ledger).ok_or_else(strange)
    }

    fn parse(ledger: &Value) -> Option<Self> {
        let mut stored = Self {
            lost: ledger.pointer("/lost/packets")?.as_u64()?,
            residual: ledger.pointer("/residual/packets")?.as_u64()?,
            ..Self::default()
        };
        for epoch in ledger["epochs"].as_array()? {
            stored.packets += epoch.pointer("/total/stored/packets")?.as_u64()?;
            stored.records += epoch.pointer("/total/stored/records")?.as_u64()?;
        }
        Some(stored)
    }

    /// By how much it grew; `None` = the store is another one than before.
    #[must_use]
    pub fn since(&self, before: &Self) -> Option<Self> {
        Some(Self {
            packets: self.packets.checked_sub(before.packets)?,
            records: self.records.checked_sub(before.records)?,
            lost: self.lost.saturating_sub(before.lost),
            residual: self.residual,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn epochs_are_summed() {
        let epoch = |packets| json!({"total": {"stored": {"packets": packets, "records": 2}}});
        let ledger =
            json!({"lost": {"packets": 3}, "residual": {"packets": 1}, "epochs": [epoch(10), epoch(5)]});
        let stored = Stored::parse(&ledger).unwrap();
        assert_eq!(stored, Stored { packets: 15, records: 4, lost: 3, residual: 1 });
        assert_eq!(Stored::parse(&json!({"epochs": []})), None);
    }
}
