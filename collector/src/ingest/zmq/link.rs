//! Whether somebody is at the other end: what libzmq tells of its connections (zmq_socket_monitor(3)).

use std::time::{Duration, Instant};

use zmq::SocketEvent;

/// Where libzmq tells it; each input has a context of its own.
const MONITOR: &str = "inproc://monitor";

/// Events that are read in a row.
const EVENTS_TURN: usize = 256;

/// Time that a peer gets for its handshake before it is said that something is wrong; libzmq tries again all the while.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);

/// Each is followed by the end of its connection.
const FAILURES: [SocketEvent; 3] = [
    SocketEvent::HANDSHAKE_FAILED_NO_DETAIL,
    SocketEvent::HANDSHAKE_FAILED_PROTOCOL,
    SocketEvent::HANDSHAKE_FAILED_AUTH,
];

/// Why no connection comes to be, though there is a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It refused our key.
    Refused,
    /// It does not go through the handshake.
    NoHandshake,
}

/// Connections of one socket.
pub(super) struct Link {
    monitor: zmq::Socket,
    connections: usize,
    /// The last handshake.
    since: Option<Instant>,
    /// The first connection without one.
    knocking: Option<Instant>,
    was_refused: bool,
    /// Handshakes that failed and whose end is not told yet.
    failed: usize,
}

impl Link {
    /// Of a socket that is neither bound nor connected.
    pub(super) fn new(context: &zmq::Context, socket: &zmq::Socket) -> Result<Self, zmq::Error> {
        socket.monitor(MONITOR, i32::from(SocketEvent::ALL.to_raw()))?;
        let monitor = context.socket(zmq::PAIR)?;
        monitor.set_linger(0)?;
        monitor.connect(MONITOR)?;
        Ok(Self { monitor, connections: 0, since: None, knocking: None, was_refused: false, failed: 0 })
    }

    /// Reads what happened. `true` = a peer came.
    pub(super) fn observe(&mut self, now: Instant) -> bool {
        let mut has_come = false;
        for _ in 0..EVENTS_TURN {
            let Ok(frames) = self.monitor.recv_multipart(zmq::DONTWAIT) else { break };
            let event = frames.first().and_then(|frame| frame.get(..2)?.try_into().ok());
            has_come |= event.is_some_and(|event| self.take(u16::from_ne_bytes(event), now));
        }
        has_come
    }

    fn take(&mut self, event: u16, now: Instant) -> bool {
        let is = |known: SocketEvent| event == known.to_raw();
        if is(SocketEvent::CONNECTED) || is(SocketEvent::ACCEPTED) {
            self.knocking.get_or_insert(now);
        } else if is(SocketEvent::HANDSHAKE_SUCCEEDED) {
            self.connections += 1;
            (self.since, self.knocking, self.was_refused) = (Some(now), None, false);
            return true;
        } else if is(SocketEvent::DISCONNECTED) {
            match self.failed {
                0 => self.connections = self.connections.saturating_sub(1),
                _ => self.failed -= 1,
            }
        } else if FAILURES.into_iter().any(is) {
            self.failed += 1;
            self.was_refused |= event == SocketEvent::HANDSHAKE_FAILED_AUTH.to_raw();
        }
        false
    }

    pub(super) fn connections(&self) -> usize {
        self.connections
    }

    /// Whether the last peer has been there for so long.
    pub(super) fn stands_for(&self, time: Duration, now: Instant) -> bool {
        self.connections > 0 && self.since.is_some_and(|since| now.duration_since(since) >= time)
    }

    /// What is wrong, where a peer is there and no connection comes to be.
    pub(super) fn trouble(&self, now: Instant) -> Option<Trouble> {
        let knocking = self.knocking.filter(|_| self.connections == 0)?;
        match self.was_refused {
            true => Some(Trouble::Refused),
            false => (now.duration_since(knocking) >= HANDSHAKE_MAX).then_some(Trouble::NoHandshake),
        }
    }
}
