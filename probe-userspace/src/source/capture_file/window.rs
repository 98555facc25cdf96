//! A bounded window over a stream of octets: what a decoder looks at, filled as it needs, never larger.
//!
//! ```text
//!            start            end
//! [ consumed | unread ....... | free ]    CAPACITY octets, allocated once
//! ```

use std::io::{ErrorKind, Read};

/// Octets of the window: the longest packet that is read (see `MAXIMUM_CAPTURED_OCTETS`) with the options of its block,
/// twice, so that moving the unread rest to the front is rare.
pub(super) const CAPACITY: usize = 1 << 20;

/// The window, and how far in the stream it stands.
pub(super) struct Window<R> {
    reader: R,
    octets: Box<[u8]>,
    start: usize,
    end: usize,
    /// Offset in the stream of `start`, for messages.
    offset: u64,
    /// Octets still to be passed over that were not in the window.
    to_skip: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, octets: vec![0; CAPACITY].into_boxed_slice(), start: 0, end: 0, offset: 0, to_skip: 0 }
    }

    /// Offset in the stream of the first unread octet.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the unread octets begin in [`Self::octets`].
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The unread octets; empty while a skip reaches beyond the window.
    pub(super) fn unread(&self) -> &[u8] {
        &self.octets[self.start..self.end]
    }

    /// All of the window, for ranges that were noted before [`Self::skip`]: valid until the next [`Self::fill`].
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Passes over so many octets, which may lie beyond the window or the end of the stream.
    pub(super) fn skip(&mut self, count: u64) {
        let here =
            usize::try_from(count).map_or(self.end - self.start, |count| count.min(self.end - self.start));
        self.start += here;
        self.offset += here as u64;
        self.to_skip += count - here as u64;
    }

    /// Octets that a skip could not pass over: what the stream lacks, once it has ended.
    pub(super) fn lacking(&self) -> u64 {
        self.to_skip
    }

    /// Reads once more. `false` = the stream has ended. Ranges noted before are void.
    pub(super) fn fill(&mut self) -> std::io::Result<bool> {
        if self.end == self.octets.len() || self.start == self.end {
            self.octets.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let count = loop {
            match self.reader.read(&mut self.octets[self.end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += count;
        let owed = std::mem::take(&mut self.to_skip);
        self.skip(owed);
        Ok(count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_beyond_the_window_continues_in_the_stream() {
        let stream: Vec<u8> = (0..3 * CAPACITY).map(|index| (index % 251) as u8).collect();
        let mut window = Window::new(stream.as_slice());
        let to = 2 * CAPACITY as u64 + 7;
        window.skip(to);
        while window.unread().is_empty() {
            assert!(window.fill().unwrap());
        }
        assert_eq!(window.offset(), to);
        assert_eq!(window.unread()[0], stream[to as usize]);
        assert_eq!(window.lacking(), 0);
    }

    #[test]
    fn a_skip_beyond_the_end_says_what_is_lacking() {
        let mut window = Window::new([0; 10].as_slice());
        window.skip(25);
        while window.fill().unwrap() {}
        assert_eq!((window.offset(), window.lacking()), (10, 15));
    }
}
