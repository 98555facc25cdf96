//! The terms of a probe's books, from its page for scrapers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::server::{Error, Server};

const PAGE: &str = "/metrics";
/// A page without it is none of a probe's.
const SEEN: &str = "probe_source_seen_packets_total";

/// Before the reason why a finished record went no further.
const DISCARDED: &str = "discarded.";

/// Packets, summed over queues and workers; by reason where the books tell of reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// By the XDP program or the packet socket.
    pub seen: u64,
    /// Put into flows.
    pub metered: u64,
    /// In records that were sealed into batches.
    pub exported: u64,
    /// Not for a flow, for a reason that is no loss: `passed.own`, `undecodable.truncated`, ..
    pub excepted: BTreeMap<String, u64>,
    /// Lost: `rx_ring_full`, `discarded.export_queue_full`, ..
    pub lost: BTreeMap<String, u64>,
    /// What the books cannot account for.
    pub residual: u64,
}

impl Terms {
    /// Of a probe, now: its page is as old as its last word, one second at most.
    ///
    /// # Errors
    /// When it does not answer, or something else does.
    pub fn of(probe: &Server) -> Result<Self, Error> {
        let page = probe.get(PAGE)?;
        Self::parse(&page).ok_or_else(|| probe.wrong(PAGE, format!("without {SEEN}: it is no gannet-probe")))
    }

    fn parse(page: &str) -> Option<Self> {
        let mut terms = Self::default();
        let mut is_ours = false;
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            // A gauge of ours may be negative, a counter never is.
            let Ok(value) = value.parse::<u64>() else { continue };
            is_ours |= name == SEEN;
            terms.add(name, reason(labels), value);
        }
        is_ours.then_some(terms)
    }

    fn add(&mut self, name: &str, reason: &str, value: u64) {
        let mut excepted =
            |kind: &str| *self.excepted.entry(format!("{kind}.{reason}")).or_default() += value;
        match name {
            SEEN => self.seen += value,
            // Whoever counted them.
            "probe_worker_metered_packets_total" | "probe_worker_shunt_merged_packets_total" => {
                self.metered += value;
            }
            "probe_export_exported_packets_total" => self.exported += value,
            "probe_ledger_residual_packets" => self.residual = value,
            "probe_source_passed_packets_total" => excepted("passed"),
            "probe_source_refused_packets_total" => excepted("refused"),
            "probe_worker_undecodable_packets_total" => excepted("undecodable"),
            "probe_worker_non_flow_packets_total" => excepted("non_flow"),
            "probe_worker_not_selected_packets_total" => excepted("not_selected"),
            "probe_source_dropped_packets_total" => *self.lost.entry(reason.to_owned()).or_default() += value,
            "probe_worker_handover_full_packets_total" => {
                *self.lost.entry("handover_full".to_owned()).or_default() += value;
            }
            "probe_export_discarded_packets_total" => {
                *self.lost.entry(format!("{DISCARDED}{reason}")).or_default() += value;
            }
            _ => {}
        }
    }

    /// By how much they grew. A probe that was started anew between has smaller ones: then nothing can be said.
    #[must_use]
    pub fn since(&self, before: &Self) -> Option<Self> {
        Some(Self {
            seen: self.seen.checked_sub(before.seen)?,
            metered: self.metered.checked_sub(before.metered)?,
            exported: self.exported.checked_sub(before.exported)?,
            excepted: grown(&self.excepted, &before.excepted)?,
            lost: grown(&self.lost, &before.lost)?,
            residual: self.residual,
        })
    }

    /// Lost packets, whatever the reason.
    #[must_use]
    pub fn lost_packets(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Of them, those that were in a flow: discarded between worker and bus.
    #[must_use]
    pub fn lost_after_meter(&self) -> u64 {
        let discarded = self.lost.iter().filter(|(reason, _)| reason.starts_with(DISCARDED));
        discarded.map(|(_, packets)| packets).sum()
    }

    /// Of them, those that never came to a flow.
    #[must_use]
    pub fn lost_packets_before_meter(&self) -> u64 {
        self.lost_packets() - self.lost_after_meter()
    }

    /// Packets in no flow that nobody lost.
    #[must_use]
    pub fn excepted_packets(&self) -> u64 {
        self.excepted.values().sum()
    }
}

fn reason(labels: &str) -> &str {
    let value = labels.split_once("reason=\"").map_or("", |(_, value)| value);
    value.split('"').next().unwrap_or_default()
}

/// Those that grew.
fn grown(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> Option<BTreeMap<String, u64>> {
    let mut grown = BTreeMap::new();
    for (reason, value) in now {
        match value.checked_sub(before.get(reason).copied().unwrap_or(0))? {
            0 => {}
            more => drop(grown.insert(reason.clone(), more)),
        }
    }
    Some(grown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE probe_source_seen_packets counter\n\
        probe_source_seen_packets_total{interface=\"in\",queue=\"0\"} 10\n\
        probe_source_seen_packets_total{interface=\"in\",queue=\"1\"} 5\n\
        probe_source_dropped_packets_total{interface=\"in\",queue=\"0\",reason=\"rx_ring_full\"} 3\n\
        probe_source_dropped_packets_total{interface=\"in\",queue=\"1\",reason=\"rx_ring_full\"} 1\n\
        probe_source_passed_packets_total{interface=\"in\",queue=\"1\",reason=\"own\"} 2\n\
        probe_worker_metered_packets_total{worker=\"0\"} 9\n\
        probe_export_discarded_packets_total{worker=\"0\",reason=\"export_queue_full\"} 4\n\
        probe_ledger_residual_packets 0\n# EOF\n";

    #[test]
    fn queues_and_workers_are_summed_by_reason() {
        let terms = Terms::parse(TEXT).unwrap();
        assert_eq!((terms.seen, terms.metered, terms.lost_packets()), (15, 9, 8));
        assert_eq!(terms.lost["rx_ring_full"], 4);
        assert_eq!(terms.lost["discarded.export_queue_full"], 4);
        assert_eq!(terms.excepted["passed.own"], 2);
    }

    #[test]
    fn what_grew_is_what_counts() {
        let before = Terms::parse(TEXT).unwrap();
        let mut after = before.clone();
        after.seen += 7;
        *after.lost.get_mut("rx_ring_full").unwrap() += 2;
        let grown = after.since(&before).unwrap();
        assert_eq!((grown.seen, grown.metered), (7, 0));
        assert_eq!(grown.lost, BTreeMap::from([("rx_ring_full".to_owned(), 2)]));
        assert_eq!(before.since(&after), None, "the probe was started anew");
    }

    #[test]
    fn a_page_of_another_program_is_refused() {
        assert_eq!(Terms::parse("up 1\n"), None);
    }
}
