//! A hub: a bridge that learns nothing, so that every port sees every frame. A spare port is a mirror port.

use super::{End, Error, Netns, Wire};

/// Name of the bridge inside the hub's own namespace.
const BRIDGE: &str = "hub";

/// A bridge with `ageing_time` 0 in a namespace of its own.
#[derive(Debug)]
pub struct Hub {
    namespace: Netns,
}

impl Hub {
    /// Makes a hub without ports.
    ///
    /// # Errors
    /// As [`Netns::new`].
    pub fn new(label: &str) -> Result<Self, Error> {
        let namespace = Netns::new(label)?;
        // No spanning tree, no multicast snooping: a frame in is a frame out of every other port, and nothing else is.
        namespace.ip(&[
            "link",
            "add",
            BRIDGE,
            "type",
            "bridge",
            "ageing_time",
            "0",
            "stp_state",
            "0",
            "mcast_snooping",
            "0",
        ])?;
        namespace.ip(&["link", "set", BRIDGE, "up"])?;
        Ok(Self { namespace })
    }

    /// Lays a wire from an interface of `guest` to a new port of the hub, which has the same name there.
    ///
    /// # Errors
    /// When a name is taken, or the kernel refuses.
    pub fn plug(&self, guest: &Netns, interface: &str, port: &str, wire: Wire) -> Result<(), Error> {
        wire.lay(End::new(guest, interface), End::new(&self.namespace, port))?;
        self.namespace.ip(&["link", "set", port, "master", BRIDGE]).map(drop)
    }

    /// The hub's own namespace, for the counters of its ports.
    #[must_use]
    pub fn namespace(&self) -> &Netns {
        &self.namespace
    }
}
