//! The books of a running probe, looked at every second: what does not balance is said while it can still be looked into.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow_wire::ledger::{Message, broken, of_probe};

/// Remembers what is left over, so that it is said once it stays.
#[derive(Debug, Default)]
pub(super) struct Audit {
    before: Option<Arc<Message>>,
    /// Identities that did not hold the last time.
    suspected: BTreeSet<String>,
    /// Those that have been said, and still do not hold.
    said: BTreeSet<String>,
}

impl Audit {
    /// Judges a message; gives the equations to say. Counters of a moment are read one after the other, so an identity
    /// has to fail twice in a row. The closed books are judged by who closes them.
    pub(super) fn judge(&mut self, message: &Arc<Message>) -> Vec<String> {
        let before = self.before.replace(message.clone());
        if message.closed {
            return Vec::new();
        }
        let identities = of_probe(message, before.as_deref());
        let failing = broken(&identities);
        let names = |name: &str, scope: &str| format!("{name} {scope}");
        let now: BTreeSet<String> = failing.iter().map(|one| names(one.name, &one.scope)).collect();
        let mut sentences = Vec::new();
        for identity in failing {
            let name = names(identity.name, &identity.scope);
            if self.suspected.contains(&name) && self.said.insert(name) {
                sentences.push(format!(
                    "at the hop {}: {} {}",
                    identity.hop,
                    identity.scope,
                    identity.equation()
                ));
            }
        }
        self.said.retain(|name| now.contains(name));
        self.suspected = now;
        sentences
    }
}

#[cfg(test)]
mod tests {
    use flow_wire::ledger::{Amount, WorkerTerms};

    use super::*;

    fn message(second: u64, received: u64, metered: u64) -> Arc<Message> {
        let amount = |packets| Amount { packets, octets: packets * 100 };
        let worker = WorkerTerms {
            received: amount(received),
            metered: amount(metered),
            open: amount(metered),
            ..WorkerTerms::default()
        };
        let queue = flow_wire::ledger::QueueTerms {
            seen: amount(received),
            redirected: amount(received),
            received: amount(received),
            ..Default::default()
        };
        Arc::new(Message {
            version: Message::VERSION,
            exporter: String::new(),
            epoch_start_nanoseconds: 0,
            time_nanoseconds: second * 1_000_000_000,
            active_timeout_seconds: 120,
            queues: vec![queue],
            workers: vec![worker],
            cursors: vec![],
            cuts: vec![],
            closed: false,
            ..Message::default()
        })
    }

    #[test]
    fn a_left_over_is_said_once_when_it_stays_and_again_when_it_comes_back() {
        let mut audit = Audit::default();
        let mut said = |second, received, metered| audit.judge(&message(second, received, metered)).len();
        assert_eq!(said(1, 10, 10), 0);
        assert_eq!(said(2, 20, 19), 0, "it may be of the moment");
        assert_eq!(said(3, 30, 29), 1, "it stays");
        assert_eq!(said(4, 40, 39), 0, "it has been said");
        assert_eq!(said(5, 50, 50), 0, "it has gone");
        assert_eq!((said(6, 60, 58), said(7, 70, 68)), (0, 1), "it is back");
    }
}
