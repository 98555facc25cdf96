//! How long the stages of the workers take: for Prometheus, and as one table at the end.

use std::fmt::Write;
use std::sync::Arc;

use hdrhistogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::worker::{Stage, Stages};

/// Upper bounds of the histograms' buckets, in nanoseconds, and one without a bound: ten series for each stage of each worker, with sum,
/// count and largest value. Their edges are as sharp as the histograms': a sixteenth.
const BOUNDS: [u64; 9] =
    [1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// By the number of the worker.
pub type ByWorker = Vec<(u16, Arc<Stages>)>;

/// The metrics of all workers.
#[derive(Debug)]
pub(super) struct StageTimes(pub(super) ByWorker);

impl Collector for StageTimes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut times = encoder.encode_descriptor(
            "worker_stage",
            "Wall time of the stages of a worker: every turn, cut and sleep, the parts of one turn in 16",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        self.each(|labels, histogram| {
            let sum = histogram.mean() * histogram.len() as f64 / 1e9;
            let buckets = buckets(histogram);
            times.encode_family(labels)?.encode_histogram::<NoLabelSet>(sum, histogram.len(), &buckets, None)
        })?;
        let mut longest = encoder.encode_descriptor(
            "worker_stage_longest",
            "The longest that a stage of a worker has taken since the start",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        self.each(|labels, histogram| {
            let mut gauge: MetricEncoder<'_> = longest.encode_family(labels)?;
            gauge.encode_gauge(&(histogram.max() as f64 / 1e9))
        })
    }
}

impl StageTimes {
    /// Every stage that was ever seen.
    fn each(
        &self,
        mut of: impl FnMut(&[(&str, String); 2], &Histogram<u64>) -> std::fmt::Result,
    ) -> std::fmt::Result {
        for (worker, stages) in &self.0 {
            for stage in Stage::ALL.into_iter().filter(|stage| !stages.of(*stage).is_empty()) {
                let labels = [("worker", worker.to_string()), ("stage", stage.name().to_owned())];
                of(&labels, stages.of(stage))?;
            }
        }
        Ok(())
    }
}

/// Seconds, and how many lie below that and above the one before.
fn buckets(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    let mut counts = [0; BOUNDS.len() + 1];
    for value in histogram.iter_recorded() {
        counts[BOUNDS.partition_point(|bound| *bound < value.value_iterated_to())] += value.count_at_value();
    }
    let seconds = BOUNDS.iter().map(|bound| *bound as f64 / 1e9).chain([f64::INFINITY]);
    seconds.zip(counts).collect()
}

/// All workers' times together, a line for each stage.
pub fn stage_table(workers: &ByWorker) -> String {
    if workers.is_empty() {
        return "no stage times: only interfaces have a clock".into();
    }
    let mut text = format!(
        "{:<11} {:>12} {:>10} {:>10} {:>10} {:>10}   (wall time, all workers)",
        "stage", "times", "median", "99 %", "99.9 %", "longest"
    );
    for stage in Stage::ALL {
        let mut all = Stages::new().of(stage).clone();
        for (_, stages) in workers {
            // All have the same bounds, so that adding them cannot fail.
            let _ = all.add(stages.of(stage));
        }
        if all.is_empty() {
            continue;
        }
        let [median, most, nearly_all] =
            [0.5, 0.99, 0.999].map(|quantile| time(all.value_at_quantile(quantile)));
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{:<11} {:>12} {median:>10} {most:>10} {nearly_all:>10} {:>10}",
            stage.name(),
            all.len(),
            time(all.max())
        );
    }
    text
}

/// As people read it.
fn time(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} us", nanoseconds as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanoseconds as f64 / 1e6),
        _ => format!("{:.1} s", nanoseconds as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    fn workers() -> ByWorker {
        let mut stages = Stages::new();
        [500, 2_000, 2_000, 50_000, 2_000_000]
            .into_iter()
            .for_each(|time| stages.record(Stage::Expire, time));
        vec![(3, Arc::new(stages))]
    }

    #[test]
    fn a_page_has_every_stage_that_was_seen_and_no_other() {
        let mut registry = Registry::with_prefix("probe");
        registry.register_collector(Box::new(StageTimes(workers())));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let labels = "worker=\"3\",stage=\"expire\"";
        for line in [
            format!("probe_worker_stage_seconds_count{{{labels}}} 5"),
            format!("probe_worker_stage_seconds_bucket{{le=\"0.000001\",{labels}}} 1"),
            format!("probe_worker_stage_seconds_bucket{{le=\"0.00001\",{labels}}} 3"),
            format!("probe_worker_stage_seconds_bucket{{le=\"+Inf\",{labels}}} 5"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(text.contains(&format!("probe_worker_stage_longest_seconds{{{labels}}} 0.002")), "{text}");
        assert!(!text.contains("stage=\"cut\""), "{text}");
    }

    #[test]
    fn the_table_has_a_line_for_each_stage_that_was_seen() {
        let table = stage_table(&workers());
        assert_eq!(table.lines().count(), 2, "{table}");
        for part in ["expire", " 5 ", "2.0 us", "ms"] {
            assert!(table.contains(part), "{part} in\n{table}");
        }
    }
}
