//! Network interfaces and their queues, by name and number.

use std::fmt;

use crate::{Error, syscall};

/// An interface of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Interface {
    name: String,
    index: u32,
}

impl Interface {
    /// Looks the name up (if_nametoindex(3)).
    ///
    /// # Errors
    /// [`Error::Interface`] where there is none of that name.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        let index = syscall::interface_index(name)
            .map_err(|source| Error::Interface { name: name.to_owned(), source })?;
        Ok(Self { name: name.to_owned(), index })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its MTU now (ioctl SIOCGIFMTU).
    ///
    /// # Errors
    /// As ioctl(2): the interface is gone.
    pub fn mtu(&self) -> std::io::Result<u32> {
        syscall::mtu(&self.name)
    }

    /// Its number (ifindex).
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A receive and transmit queue of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u32);

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
