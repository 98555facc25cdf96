//! Metrics of the spool.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::spool::Statistics;

/// Puts them onto the page.
pub(super) fn register(registry: &mut Registry, spool: &Statistics) {
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge("spool_bytes", "Octets of the spool on the disk", spool.octets);
    gauge("spool_quota_bytes", "Octets that it may take (--spool-size)", spool.quota_octets);
    gauge("spool_segments", "Files of the spool", spool.segments);
    let mut counter = |name: &str, help: &str, value: u64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    };
    counter("spool_appended_bytes", "Octets appended to the spool", spool.appended_octets);
    counter(
        "spool_read_back_batches",
        "Batches read back from the disk: a sink did not keep up, or a former run left them",
        spool.read_back_batches,
    );
    counter("spool_damaged_entries", "Places where the spool could not be read back", spool.damages);
    counter("spool_disk_errors", "Calls to the disk that failed", spool.disk_errors);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_line() {
        let mut registry = Registry::with_prefix("probe");
        register(&mut registry, &Statistics { octets: 7, disk_errors: 3, ..Statistics::default() });
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in ["probe_spool_bytes 7", "probe_spool_disk_errors_total 3"] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
