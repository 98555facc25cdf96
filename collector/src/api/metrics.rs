//! What Prometheus sees: the counters of this process, and the books as gauges.

use std::fmt::Write as _;
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::ingest::{InputState, InputStatus};
use crate::reconcile::{Ledger, Verdict};

/// The exposition, in OpenMetrics text.
pub(super) fn text(registry: &Registry, ledger: &Ledger, inputs: &[Arc<InputStatus>]) -> String {
    let mut gauges = String::new();
    let mut gauge = |name: &str, help: &str, value: u64| {
        // Writing to a String cannot fail.
        let _ = write!(gauges, "# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}\n");
    };
    let running = inputs.iter().filter(|input| input.state().0 == InputState::Running).count();
    let balanced = u64::from(ledger.verdict != Verdict::Residual);
    gauge("collector_ingest_inputs", "Inputs of the command line", inputs.len() as u64);
    gauge("collector_ingest_running_inputs", "Inputs that receive", running as u64);
    gauge("collector_ledger_balanced", "1 = no residual", balanced);
    gauge(
        "collector_ledger_rows_counted_timestamp_seconds",
        "When the rows were last counted for the books; 0 = not yet",
        ledger.rows_counted_nanoseconds.unwrap_or(0) / 1_000_000_000,
    );
    gauge(
        "collector_ledger_residual_packets",
        "Packets or records that no term explains",
        ledger.residual.packets,
    );
    gauge("collector_ledger_residual_octets", "Octets that no term explains", ledger.residual.octets);
    gauge("collector_ledger_lost_packets", "Packets that ring, device or probe dropped", ledger.lost.packets);
    gauge("collector_ledger_lost_records", "Records that probe or bus dropped", ledger.lost.records);
    gauge("collector_ledger_twins", "Identities that two live probes have", ledger.twins.len() as u64);
    gauge("collector_ledger_lost_batches", "Batches that held them", ledger.lost.batches);
    gauge(
        "collector_ledger_missed_publisher_messages",
        "Messages of publishers that are none of ours that did not come, by their numbers",
        ledger.lost.publisher_messages,
    );
    gauge(
        "collector_ledger_told_publisher_losses",
        "Packets and flows that publishers that are none of ours say they lost",
        ledger.lost.publisher_told,
    );
    for (fate, batches) in ledger.fates() {
        let name = format!("collector_ledger_{fate}_batches");
        gauge(&name, &format!("Batches that the ledger names {fate}"), batches);
    }
    let mut counters = String::new();
    // Likewise.
    let _ = encode(&mut counters, registry);
    gauges + &counters
}
