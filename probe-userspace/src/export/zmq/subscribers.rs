//! Which topics somebody listens to. An XPUB socket receives a message when the first subscriber of a prefix comes
//! (`1` + prefix) and when the last one goes (`0` + prefix): libzmq, zmq_socket(3).

use std::collections::BTreeSet;

/// Prefixes that are remembered: ours are two, ntop's nine, and a peer may invent any number.
const PREFIXES_MAX: usize = 256;

/// The prefixes that are subscribed now.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    prefixes: BTreeSet<Vec<u8>>,
}

impl Subscribers {
    /// Whether somebody listens to this topic.
    pub(super) fn want(&self, topic: &[u8]) -> bool {
        self.prefixes.iter().any(|prefix| topic.starts_with(prefix))
    }

    /// Takes what peers said. Anything but a subscription is nothing to us.
    pub(super) fn read(&mut self, socket: &::zmq::Socket) {
        for _ in 0..PREFIXES_MAX {
            let Ok(message) = socket.recv_bytes(::zmq::DONTWAIT) else { return };
            self.take(&message);
        }
    }

    fn take(&mut self, message: &[u8]) {
        match message.split_first() {
            Some((1, prefix)) if self.prefixes.len() < PREFIXES_MAX => {
                self.prefixes.insert(prefix.to_vec());
            }
            Some((0, prefix)) => {
                self.prefixes.remove(prefix);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_matched_by_prefix_until_the_last_one_goes() {
        let mut subscribers = Subscribers::default();
        subscribers.take(b"\x01gannet.fl");
        assert!(subscribers.want(b"gannet.flow") && !subscribers.want(b"gannet.ledger"));
        subscribers.take(b"\x01");
        assert!(subscribers.want(b"gannet.ledger"));
        subscribers.take(b"\x00");
        subscribers.take(b"\x00gannet.fl");
        subscribers.take(b"");
        subscribers.take(b"\x07gannet");
        assert!(!subscribers.want(b"gannet.flow"));
    }

    #[test]
    fn a_peer_cannot_make_it_grow() {
        let mut subscribers = Subscribers::default();
        for prefix in 0..2 * PREFIXES_MAX as u32 {
            subscribers.take(&[&[1], prefix.to_be_bytes().as_slice()].concat());
        }
        assert_eq!(subscribers.prefixes.len(), PREFIXES_MAX);
    }
}
