//! Queues that are split rely on the device's RSS: who is told when it does not keep flows together.

use std::sync::Arc;

use super::layout::{Layout, mend_of};
use super::plan::Plan;
use crate::worker::Sightings;

/// What the workers saw, and whether it was said.
pub(super) struct Symmetry {
    sightings: Arc<Sightings>,
    /// Interfaces whose queues are split; empty = nothing is to be said any more.
    interfaces: Vec<String>,
}

impl Symmetry {
    pub(super) fn new(plan: &Plan, sightings: Arc<Sightings>) -> Self {
        let split = plan.ports.iter().filter(|_| plan.layout == Layout::Split);
        Self { sightings, interfaces: split.map(|port| port.interface.name.clone()).collect() }
    }

    /// Says it once.
    pub(super) fn say(&mut self) {
        if self.interfaces.is_empty() || !self.sightings.are_split() {
            return;
        }
        let interfaces = std::mem::take(&mut self.interfaces);
        let mends: Vec<_> = interfaces.iter().map(|name| mend_of(name)).collect();
        tracing::warn!(
            "{}: packets of one flow come by queues of several workers, RSS is not symmetric: from now on each flow is handed to one \
             worker, which costs CPU time; a flow that is open now may have two records\n  mend: {}, then start the probe \
             anew; or --queue-mode spread",
            interfaces.join(", "),
            mends.join(" and ")
        );
    }
}
