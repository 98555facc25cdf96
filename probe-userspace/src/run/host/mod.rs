//! What the probe asks of the host it runs on. The system calls without a safe form stand in these small modules.

mod ethtool;
mod in_use;
mod interfaces;
mod privilege;
mod signals;

pub use ethtool::{Ethtool, Offloads};
pub use in_use::{Use, in_use};
pub use interfaces::{Interface, interfaces};
pub use privilege::{Error as PrivilegeError, User, is_root};
pub use signals::Signals;
