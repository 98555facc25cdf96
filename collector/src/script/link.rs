//! The pair of sockets between host and process: frames, each within a time.
//!
//! ```text
//! length of the body, u32 little endian │ kind, u8 │ body
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The longest body: a batch has at most half a megabyte, an answer of the API some more.
const BODY_OCTETS_MAX: usize = 32 << 20;

const HEAD_OCTETS: usize = 5;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

/// One end.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    /// What came and is not a whole frame yet.
    come: Vec<u8>,
}

impl Link {
    /// Ours, and the descriptor for the process.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self { stream: ours, come: Vec::new() }, theirs.into()))
    }

    /// That of the process, which has it as its standard input.
    pub(super) fn of_stdin() -> io::Result<Self> {
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        // Anything else than a socket has no peer.
        stream.peer_addr()?;
        Ok(Self { stream, come: Vec::new() })
    }

    /// Nothing more will be sent; what the other end says is heard on.
    pub(super) fn finish(&self) {
        // One that is gone needs not be told.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Writes a frame. `until` = `None` waits for as long as the other end lives.
    pub(super) fn send(&mut self, kind: u8, body: &[u8], until: Option<Instant>) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let [a, b, c, d] = length.to_le_bytes();
        self.write(&[a, b, c, d, kind], until)?;
        self.write(body, until)
    }

    fn write(&mut self, mut octets: &[u8], until: Option<Instant>) -> io::Result<()> {
        while !octets.is_empty() {
            self.stream.set_write_timeout(left(until)?)?;
            match self.stream.write(octets) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => octets = &octets[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(in_time(error)),
            }
        }
        Ok(())
    }

    /// The next frame; `None` = the other end is gone. What came of one when the time is over is kept for the next call.
    pub(super) fn receive(&mut self, until: Option<Instant>) -> io::Result<Option<Frame>> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(frame) = self.whole()? {
                return Ok(Some(frame));
            }
            self.stream.set_read_timeout(left(until)?)?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => self.come.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(in_time(error)),
            }
        }
    }

    fn whole(&mut self) -> io::Result<Option<Frame>> {
        let Some((&[a, b, c, d, kind], rest)) = self.come.split_first_chunk::<HEAD_OCTETS>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > BODY_OCTETS_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("a frame of {length} octets")));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let body = body.to_vec();
        self.come.drain(..HEAD_OCTETS + length);
        Ok(Some(Frame { kind, body }))
    }
}

/// `None` = for ever; a time that is over is an error.
fn left(until: Option<Instant>) -> io::Result<Option<Duration>> {
    let Some(until) = until else { return Ok(None) };
    match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(Some(left)),
    }
}

/// Linux says EAGAIN where the time of a socket is over.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Link, Link) {
        let (ours, theirs) = Link::pair().unwrap();
        (ours, Link { stream: UnixStream::from(theirs), come: Vec::new() })
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(20))
    }

    #[test]
    fn frames_come_whole_and_in_order_and_half_a_one_is_kept() {
        let (mut ours, mut theirs) = pair();
        ours.send(1, b"one", None).unwrap();
        ours.send(2, &[], None).unwrap();
        ours.write(&[4, 0, 0, 0, 3, b'f'], None).unwrap();
        assert_eq!(theirs.receive(soon()).unwrap(), Some(Frame { kind: 1, body: b"one".to_vec() }));
        assert_eq!(theirs.receive(soon()).unwrap(), Some(Frame { kind: 2, body: Vec::new() }));
        assert_eq!(theirs.receive(soon()).unwrap_err().kind(), ErrorKind::TimedOut);
        ours.write(b"our", None).unwrap();
        assert_eq!(theirs.receive(soon()).unwrap(), Some(Frame { kind: 3, body: b"four".to_vec() }));
        drop(ours);
        assert_eq!(theirs.receive(soon()).unwrap(), None);
    }

    #[test]
    fn nobody_waits_for_one_who_does_not_read_and_no_frame_is_believed_beyond_its_bound() {
        let (mut ours, mut theirs) = pair();
        let until = Some(Instant::now() + Duration::from_millis(100));
        assert_eq!(ours.send(1, &vec![0; 8 << 20], until).unwrap_err().kind(), ErrorKind::TimedOut);
        drop(ours);
        let (mut ours, _) = (pair(), theirs.stream.shutdown(std::net::Shutdown::Both));
        ours.0.write(&[0xff; 5], None).unwrap();
        assert_eq!(ours.1.receive(None).unwrap_err().kind(), ErrorKind::InvalidData);
        theirs.come.clear();
    }
}
