//! Where a device sends the whole packets of a flow, by its own arithmetic: the worker that a fragment's flow lives with, where each
//! queue has one worker. Devices hash fragments by their addresses alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use xdp_abi::key::FlowKey;
use xsk::ethtool::Rss;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A device's hash, and who serves its queues.
#[derive(Debug)]
pub struct Steering {
    rss: Rss,
    /// By queue; `None` = nobody.
    workers: Vec<Option<usize>>,
}

impl Steering {
    /// `workers` by number of the queue.
    pub fn new(rss: Rss, workers: Vec<Option<usize>>) -> Self {
        Self { rss, workers }
    }

    /// The worker that whole packets of this flow come to; `None` where nobody can say.
    pub(super) fn worker(&self, key: &FlowKey) -> Option<usize> {
        // A fragment whose first was not seen has no ports.
        if (key.protocol != TCP && key.protocol != UDP) || (key.low_port, key.high_port) == (0, 0) {
            return None;
        }
        let end = |address: &[u8; 16], port| {
            let ip = match key.ip_version {
                4 => IpAddr::V4(Ipv4Addr::new(address[0], address[1], address[2], address[3])),
                _ => IpAddr::V6(Ipv6Addr::from(*address)),
            };
            SocketAddr::new(ip, port)
        };
        let ends = [end(&key.low_address, key.low_port), end(&key.high_address, key.high_port)];
        let queue = self.rss.queue(ends, key.protocol == TCP)?;
        self.workers.get(queue as usize).copied().flatten()
    }
}
