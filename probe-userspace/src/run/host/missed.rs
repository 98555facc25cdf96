//! What a device dropped before anybody could see it.

use std::path::Path;

use super::Interface;

/// The counter of if_link.h for packets that found no buffer in the device; by the name that `ip -s -s link` and the
/// ledger show.
pub const MISSED: &str = "rx_missed_errors";

/// Packets that the device has missed since it came up; `None` where /sys shows another namespace.
pub fn missed(interface: &Interface) -> Option<u64> {
    let directory = Path::new("/sys/class/net").join(&interface.name);
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).ok()?.trim().parse::<u64>().ok();
    (read("ifindex")? == u64::from(interface.index)).then(|| read(&format!("statistics/{MISSED}")))?
}
