//! A veth pair between two namespaces.

use super::{Error, Netns};

/// One end of a wire: where it is and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The namespace it is in.
    pub namespace: &'a Netns,
    /// The interface's name there.
    pub name: &'a str,
}

impl<'a> End<'a> {
    /// An end called `name` in `namespace`.
    #[must_use]
    pub fn new(namespace: &'a Netns, name: &'a str) -> Self {
        Self { namespace, name }
    }
}

/// How to lay a wire.
///
/// Both ends get as many transmit as receive queues: a device takes native XDP only if its peer does not send on
/// more queues than it receives on (drivers/net/veth.c, `veth_xdp_set`).
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// Queues of either end, in either direction.
    pub queues: u32,
    /// Largest IP packet.
    pub mtu: u32,
}

impl Default for Wire {
    fn default() -> Self {
        Self { queues: 1, mtu: 1500 }
    }
}

impl Wire {
    /// Lays it, and takes both ends up.
    ///
    /// # Errors
    /// When a name is taken, or the kernel refuses.
    pub fn lay(self, left: End<'_>, right: End<'_>) -> Result<(), Error> {
        let queues = self.queues.to_string();
        let mtu = self.mtu.to_string();
        let size = ["mtu", &mtu, "numtxqueues", &queues, "numrxqueues", &queues];
        let mut arguments = vec!["link", "add", left.name];
        arguments.extend(size);
        arguments.extend(["type", "veth", "peer", "name", right.name]);
        arguments.extend(size);
        arguments.extend(["netns", right.namespace.name()]);
        left.namespace.ip(&arguments)?;
        for end in [left, right] {
            end.namespace.ip(&["link", "set", end.name, "up"])?;
        }
        Ok(())
    }
}
