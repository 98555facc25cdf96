//! Which topics somebody listens to. An XPUB socket receives a message when the first subscriber of a prefix comes
//! (`1` + prefix) and when the last one goes (`0` + prefix): libzmq, zmq_socket(3).

use std::collections::BTreeSet;

/// The prefixes of our topics that are subscribed now. Others are not remembered: a peer may invent any number, but a topic
/// has no more prefixes than octets.
#[derive(Debug)]
pub(super) struct Subscribers {
    topics: [Vec<u8>; 2],
    prefixes: BTreeSet<Vec<u8>>,
}

impl Subscribers {
    /// Of these topics.
    pub(super) fn of(topics: [Vec<u8>; 2]) -> Self {
        Self { topics, prefixes: BTreeSet::new() }
    }

    /// Whether somebody listens to this topic.
    pub(super) fn want(&self, topic: &[u8]) -> bool {
        self.prefixes.iter().any(|prefix| topic.starts_with(prefix))
    }

    /// Takes what a peer said. Anything but a subscription of ours is nothing to us.
    pub(super) fn take(&mut self, message: &[u8]) {
        match message.split_first() {
            Some((1, prefix)) if self.topics.iter().any(|topic| topic.starts_with(prefix)) => {
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

    fn of_gannet() -> Subscribers {
        Subscribers::of([b"gannet.flow".to_vec(), b"gannet.ledger".to_vec()])
    }

    #[test]
    fn topics_are_matched_by_prefix_until_the_last_one_goes() {
        let mut subscribers = of_gannet();
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
        let mut subscribers = of_gannet();
        for prefix in 0..1_000_u32 {
            subscribers.take(&[&[1], prefix.to_be_bytes().as_slice()].concat());
        }
        assert_eq!(subscribers.prefixes.len(), 0);
        subscribers.take(b"\x01gannet.");
        assert!(subscribers.want(b"gannet.flow"), "it is heard behind all of them");
    }
}
