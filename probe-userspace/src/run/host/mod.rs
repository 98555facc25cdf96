//! What the probe asks of the host it runs on. The system calls without a safe form stand in these small modules.

mod in_use;
mod interfaces;
mod memory;
mod missed;
mod privilege;
mod signals;
mod unicast;

pub use in_use::{Use, in_use};
pub use interfaces::{Interface, interfaces};
pub use memory::available_octets;
pub use missed::{MISSED, missed};
pub use privilege::{Error as PrivilegeError, User, is_root, maps_need_rights};
pub use signals::{HANG_UP, Signals};

/// The host's name, for people.
pub fn name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_string() } else { name.trim().to_string() }
}
