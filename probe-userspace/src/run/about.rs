//! What a probe tells an ntopng of itself, beside its numbers.

use std::net::IpAddr;

use flow_wire::endpoint;
use flow_wire::stamp::ProbeId;

use crate::config::{Config, Input};
use crate::export::zmq::ntop::About;

/// Of one output.
pub(super) fn about(config: &Config, probe: ProbeId, endpoint: &endpoint::Zmq) -> About {
    let interfaces = || config.inputs.iter().filter_map(Input::interface);
    let address = interfaces().find_map(|interface| interface.addresses.first());
    let interface_address = address.map(IpAddr::to_string).unwrap_or_default();
    let bound = (!endpoint.collector_binds).then(|| endpoint.address.host.parse::<IpAddr>().ok()).flatten();
    About {
        inputs: config.inputs.iter().map(Input::name).collect::<Vec<_>>().join(","),
        speed_megabits: interfaces().map(|interface| speed_megabits(&interface.name)).max().unwrap_or(0),
        probe_address: bound.map_or_else(|| interface_address.clone(), |bound| bound.to_string()),
        interface_address,
        probe: probe.0.simple().to_string(),
        active_timeout: config.flows.active_timeout,
        idle_timeout: config.flows.idle_timeout,
    }
}

/// As the driver says; 0 where it does not (down, or virtual). Of another namespace's /sys it is 0 as well: a number for a page, no more.
fn speed_megabits(interface: &str) -> u64 {
    let said = std::fs::read_to_string(format!("/sys/class/net/{interface}/speed")).unwrap_or_default();
    said.trim().parse().unwrap_or(0)
}
