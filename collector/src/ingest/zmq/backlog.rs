//! Messages that were read off the socket and not looked into yet.
//!
//! libzmq itself has no bound here, on purpose: where 4.3.4 stops reading from a connection at one, and the connection fails
//! with a PING in what is left, it aborts on an assertion (`!_io_error`), and any publisher could end the collector that way.

use std::collections::VecDeque;

/// Octets that wait: some seconds of the fastest probe. A probe that keeps batches for us sends no more than its credit,
/// far below this.
const BACKLOG_OCTETS: usize = 256 << 20;

/// Octets that a message is reckoned with beside its own: nobody fills the memory with empty ones.
const MESSAGE_OCTETS: usize = 256;

/// Frames of a message of ours: topic, delivery, header, body. Of one with more the first few are enough to refuse it.
pub(super) const FRAMES_MAX: usize = 4;

/// Frames of one message; `count` of them came.
pub(super) struct Raw {
    pub(super) frames: Vec<zmq::Message>,
    pub(super) count: usize,
}

/// What waits.
#[derive(Default)]
pub(super) struct Backlog {
    messages: VecDeque<Raw>,
    octets: usize,
    /// Messages for which there was no room.
    pub(super) dropped: u64,
}

impl Backlog {
    /// Puts a message behind the others, or drops it.
    pub(super) fn push(&mut self, raw: Raw) {
        let octets = size(&raw);
        if self.octets + octets > BACKLOG_OCTETS {
            self.dropped += 1;
            return;
        }
        self.octets += octets;
        self.messages.push_back(raw);
    }

    pub(super) fn pop(&mut self) -> Option<Raw> {
        let raw = self.messages.pop_front()?;
        self.octets -= size(&raw);
        Some(raw)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

/// One message off the socket, or `None` where there is none now.
pub(super) fn receive(socket: &zmq::Socket) -> Result<Option<Raw>, zmq::Error> {
    let mut raw = Raw { frames: Vec::with_capacity(FRAMES_MAX), count: 0 };
    loop {
        match socket.recv_msg(zmq::DONTWAIT) {
            Ok(frame) => {
                raw.count += 1;
                let more = frame.get_more();
                if raw.frames.len() < FRAMES_MAX {
                    raw.frames.push(frame);
                }
                if !more {
                    return Ok(Some(raw));
                }
            }
            Err(zmq::Error::EAGAIN | zmq::Error::EINTR) if raw.count == 0 => return Ok(None),
            // All frames of a message arrive together; an interrupted call is repeated.
            Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn size(raw: &Raw) -> usize {
    raw.frames.iter().map(|frame| frame.len()).sum::<usize>() + MESSAGE_OCTETS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_dropped_beyond_the_bound_and_counted() {
        let mut backlog = Backlog::default();
        let megabyte = || Raw { frames: vec![zmq::Message::with_size(1 << 20)], count: 1 };
        for _ in 0..300 {
            backlog.push(megabyte());
        }
        assert_eq!(backlog.messages.len() as u64 + backlog.dropped, 300);
        assert!(backlog.octets <= BACKLOG_OCTETS && backlog.dropped >= 44);
        while backlog.pop().is_some() {}
        assert!(backlog.is_empty() && backlog.octets == 0);
    }
}
