//! What probes send us for certain: numbered from 0 in a session, taken in order, acknowledged once committed.
//!
//! ```text
//! number = expected ─► taken in        number < expected ─► it came already        number > expected ─► it comes again
//! ```

use std::time::Instant;

use flow_wire::upstream::{Ack, Delivery};
use uuid::Uuid;

use super::super::receipt::{Committed, Receipt};

/// Sessions at once: probes that connect to one address of ours. Beyond it the one that was silent longest goes; it begins a
/// new one when it is heard again.
const SESSIONS_MAX: usize = 64;

/// Of one probe.
#[derive(Debug)]
struct Session {
    probe: Uuid,
    id: Uuid,
    expected: u64,
    committed: Committed,
    told: (u64, u64),
    heard: Instant,
}

/// Of all probes of one input.
#[derive(Debug)]
pub(super) struct Sessions {
    store: Uuid,
    credit: u32,
    sessions: Vec<Session>,
    /// Messages that came again, or before one that is missing: they are left.
    pub(super) left: u64,
}

impl Sessions {
    pub(super) fn new(store: Uuid, credit: u32) -> Self {
        Self { store, credit, sessions: Vec::new(), left: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether this probe sends us its batches for certain: what comes of it by a public topic is a copy.
    pub(super) fn has(&self, probe: Uuid) -> bool {
        self.sessions.iter().any(|session| session.probe == probe)
    }

    /// The probe has said which session it is in.
    pub(super) fn welcome(&mut self, probe: Uuid, id: Uuid, now: Instant) {
        if let Some(session) =
            self.sessions.iter_mut().find(|session| session.probe == probe && session.id == id)
        {
            session.heard = now;
            return;
        }
        self.refuse(probe);
        if self.sessions.len() >= SESSIONS_MAX
            && let Some((silent, _)) = self.sessions.iter().enumerate().min_by_key(|(_, one)| one.heard)
        {
            self.sessions.swap_remove(silent);
        }
        let committed = Committed::default();
        self.sessions.push(Session { probe, id, expected: 0, committed, told: (0, 0), heard: now });
    }

    /// The probe keeps nothing for us.
    pub(super) fn refuse(&mut self, probe: Uuid) {
        self.sessions.retain(|session| session.probe != probe);
    }

    /// A batch came: the receipt for it if it is the next one.
    pub(super) fn take(&mut self, delivery: Delivery) -> Option<Receipt> {
        let session = self.sessions.iter_mut().find(|session| session.id == delivery.session);
        match session {
            Some(session) if session.expected == delivery.number => {
                session.expected += 1;
                Some(session.committed.receipt(delivery.number))
            }
            _ => {
                self.left += 1;
                None
            }
        }
    }

    /// What is to be said now: where something changed, or everywhere.
    pub(super) fn acks(&mut self, everywhere: bool) -> Vec<Ack> {
        let (store, credit) = (self.store, self.credit);
        let mut acks = Vec::new();
        for session in &mut self.sessions {
            let now = (session.expected, session.committed.next());
            if everywhere || now != session.told {
                session.told = now;
                acks.push(Ack { store, session: session.id, credit, received: now.0, committed: now.1 });
            }
        }
        acks
    }

    /// Whether everything that was taken in is committed.
    pub(super) fn are_settled(&self) -> bool {
        self.sessions.iter().all(|session| session.committed.next() == session.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Uuid = Uuid::from_u128(1);

    fn sessions() -> Sessions {
        let mut sessions = Sessions::new(Uuid::nil(), 9);
        sessions.welcome(PROBE, Uuid::from_u128(7), Instant::now());
        sessions
    }

    fn delivery(session: u128, number: u64) -> Delivery {
        Delivery { session: Uuid::from_u128(session), number }
    }

    #[test]
    fn batches_are_taken_in_order_and_once() {
        let mut sessions = sessions();
        let taken = [(7, 0), (7, 0), (7, 2), (8, 1), (7, 1), (7, 2)]
            .map(|(session, number)| sessions.take(delivery(session, number)).is_some());
        assert_eq!(taken, [true, false, false, false, true, true]);
        assert_eq!(sessions.left, 3);
    }

    #[test]
    fn what_is_committed_is_said_once_and_then_only_when_asked() {
        let mut sessions = sessions();
        let said = |sessions: &mut Sessions, everywhere| {
            let acks = sessions.acks(everywhere);
            acks.iter().map(|ack| (ack.received, ack.committed)).collect::<Vec<_>>()
        };
        let (first, second) =
            (sessions.take(delivery(7, 0)).unwrap(), sessions.take(delivery(7, 1)).unwrap());
        assert_eq!(said(&mut sessions, false), [(2, 0)]);
        first.commit();
        assert_eq!(said(&mut sessions, false), [(2, 1)]);
        assert!(said(&mut sessions, false).is_empty() && !sessions.are_settled());
        drop(second);
        assert_eq!(said(&mut sessions, true), [(2, 1)], "a message that was dropped is not committed");
    }

    #[test]
    fn a_new_session_of_a_probe_begins_anew_and_a_hundred_probes_are_bounded() {
        let mut sessions = sessions();
        sessions.take(delivery(7, 0)).unwrap();
        sessions.welcome(PROBE, Uuid::from_u128(7), Instant::now());
        assert!(sessions.take(delivery(7, 1)).is_some(), "the same session goes on");
        sessions.welcome(PROBE, Uuid::from_u128(8), Instant::now());
        assert!(sessions.take(delivery(7, 2)).is_none() && sessions.take(delivery(8, 0)).is_some());
        for number in 100..200 {
            sessions.welcome(Uuid::from_u128(number), Uuid::from_u128(number), Instant::now());
        }
        assert_eq!((sessions.len(), sessions.has(PROBE)), (SESSIONS_MAX, false));
    }
}
