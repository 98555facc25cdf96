//! Which topics somebody listens to. An XPUB socket receives a message when the first subscriber of a prefix comes
//! (`1` + prefix) and when the last one goes (`0` + prefix): libzmq, zmq_socket(3).

use std::collections::BTreeSet;

use flow_wire::bus::Kind;
use flow_wire::ntop::Topic;
use flow_wire::upstream::private_topic;
use uuid::Uuid;

/// Stores whose own topics are remembered: a peer may invent any number.
const STORES_MAX: usize = 4_096;

/// The prefixes of our topics that are subscribed now, and the stores that listen to their own. Others are not remembered: a peer may
/// invent any number, but a topic has no more prefixes than octets.
#[derive(Debug)]
pub(super) struct Subscribers {
    prefix: String,
    /// Ours, and ntop's.
    topics: Vec<Vec<u8>>,
    prefixes: BTreeSet<Vec<u8>>,
    stores: BTreeSet<Uuid>,
    /// There were once more of them than are remembered.
    has_overflowed: bool,
}

impl Subscribers {
    /// Of the topics whose names begin so.
    pub(super) fn of(prefix: &str) -> Self {
        let ours = Kind::ALL.iter().map(|kind| kind.topic(prefix).into_bytes());
        let topics = ours.chain(Topic::ALL.iter().map(|topic| topic.name().into())).collect();
        Self {
            prefix: prefix.to_owned(),
            topics,
            prefixes: BTreeSet::new(),
            stores: BTreeSet::new(),
            has_overflowed: false,
        }
    }

    /// Whether this store listens to the topic that is its own, as far as is known. One that does not has another prefix, and would get
    /// nothing.
    pub(super) fn has_store(&self, store: Uuid) -> bool {
        self.has_overflowed || self.stores.contains(&store)
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
            Some((1, topic)) => match self.store_of(topic) {
                Some(_) if self.stores.len() >= STORES_MAX => self.has_overflowed = true,
                store => self.stores.extend(store),
            },
            Some((0, topic)) => {
                self.prefixes.remove(topic);
                if let Some(store) = self.store_of(topic) {
                    self.stores.remove(&store);
                }
            }
            _ => {}
        }
    }

    fn store_of(&self, topic: &[u8]) -> Option<Uuid> {
        let name = std::str::from_utf8(topic).ok()?.rsplit('.').next()?;
        let store = Uuid::try_parse(name).ok()?;
        (private_topic(&self.prefix, store).as_bytes() == topic).then_some(store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_gannet() -> Subscribers {
        Subscribers::of("gannet")
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
    fn what_ntopng_subscribes_is_ntops_alone() {
        let mut subscribers = of_gannet();
        for topic in ["flow", "event", "counter", "template", "option", "hello", "listening-ports"] {
            subscribers.take(&[&[1], topic.as_bytes()].concat());
        }
        assert_eq!(subscribers.prefixes.len(), 3, "{:?}", subscribers.prefixes);
        assert!(subscribers.want(b"flow") && subscribers.want(b"event") && subscribers.want(b"template"));
        assert!(!subscribers.want(b"gannet.flow") && !subscribers.want(b"gannet.ledger"));
    }

    #[test]
    fn a_store_listens_to_its_own_topic_or_gets_nothing() {
        let mut subscribers = of_gannet();
        let store = Uuid::from_u128(7);
        let take = |subscribers: &mut Subscribers, kind: u8, prefix: &str| {
            subscribers.take(&[&[kind], private_topic(prefix, store).as_bytes()].concat());
        };
        take(&mut subscribers, 1, "other");
        assert!(!subscribers.has_store(store));
        take(&mut subscribers, 1, "gannet");
        assert!(subscribers.has_store(store) && !subscribers.has_store(Uuid::from_u128(8)));
        take(&mut subscribers, 0, "gannet");
        assert!(!subscribers.has_store(store));
    }

    #[test]
    fn a_peer_cannot_make_it_grow() {
        let mut subscribers = of_gannet();
        for prefix in 0..1_000_u32 {
            subscribers.take(&[&[1], prefix.to_be_bytes().as_slice()].concat());
        }
        for store in 0..10_000 {
            let topic = private_topic("gannet", Uuid::from_u128(store));
            subscribers.take(&[&[1], topic.as_bytes()].concat());
        }
        assert_eq!((subscribers.prefixes.len(), subscribers.stores.len()), (0, STORES_MAX));
        assert!(subscribers.has_store(Uuid::from_u128(9_999)), "an honest store is not shut out");
        subscribers.take(b"\x01gannet.");
        assert!(subscribers.want(b"gannet.flow"), "it is heard behind all of them");
    }
}
