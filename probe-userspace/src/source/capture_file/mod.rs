//! Capture files: pcap and pcapng, of any byte order, as a stream through a bounded window. Standard input too.
//!
//! ```text
//! octets ─► window ─► decoder (pcap | pcapng) ─► staged records (<= 64) ─► lent as frames, in place
//! ```
//!
//! Written here, and not over a capture crate, since the crates at hand copy the options of each pcapng block into a
//! vector of their own and lend one packet at a time. `pcap-parser` is the oracle of the tests.
//!
//! - A file that ends within a record (a capture that was killed) is read up to there; [`Source::notice`] says where.
//! - A length that no packet has ends the reading with an error that names the offset; what came before counts.
//! - A packet without a time (simple packet block) is given that of the packet before it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_wire::fault::{Fault, Hop, take};
use flow_wire::ledger::{Amount, QueueTerms};

use super::bpf::{self, Expression, FileSelector};
use super::frame::NO_FRAME;
use super::{BURST_CAPACITY, Frame, LinkLayer, ObservationPoint, Source, State};
use decoder::{Decoder, Packet, Step};
use window::Window;

mod decoder;
mod interface;
mod link_type;
mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;
mod window;

pub use decoder::Malformed;

/// The path that means standard input.
pub const STANDARD_INPUT: &str = "-";

/// Packets that are staged for one burst; two places are left for what a fault-injection build doubles.
const STAGED_CAPACITY: usize = BURST_CAPACITY - 2;

/// A capture file (or a stream in such a format) that is being read.
pub struct CaptureFile {
    point: ObservationPoint,
    window: Window<Box<dyn Read + Send>>,
    decoder: Decoder,
    staged: Vec<Staged>,
    /// Time of the last packet, for those that have none.
    last_nanoseconds: u64,
    /// Offset of the record or block that is being decoded.
    record_offset: u64,
    ended: bool,
    torn_at: Option<u64>,
    seen: Amount,
    redirected: Amount,
    received: Amount,
    selector: Option<FileSelector>,
}

/// A packet in the window, until it is lent.
#[derive(Clone, Copy)]
struct Staged {
    start: usize,
    captured_octets: u32,
    original_octets: u32,
    timestamp_nanoseconds: u64,
    link_layer: LinkLayer,
}

/// Why a capture file cannot be read, or not read on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// See the message.
    #[error("capture file {}: cannot open: {error}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// See the message.
    #[error("capture file {path}: read at offset {offset}: {error}")]
    Read {
        /// The file.
        path: String,
        /// How far it was read.
        offset: u64,
        /// What the system said.
        error: std::io::Error,
    },
    /// See the message.
    #[error("capture file {path}: ends after {octets} octets, within its header")]
    HeaderTruncated {
        /// The file.
        path: String,
        /// Its length.
        octets: usize,
    },
    /// See the message.
    #[error("capture file {path}: begins with {magic:02x?}, which is neither pcap nor pcapng{hint}")]
    NotACapture {
        /// The file.
        path: String,
        /// Its first octets.
        magic: [u8; 4],
        /// What it may be, and how to mend that.
        hint: &'static str,
    },
    /// See the message.
    #[error("capture file {path}: broken at offset {offset}: {malformed}")]
    Malformed {
        /// The file.
        path: String,
        /// Where the record or block begins.
        offset: u64,
        /// What is wrong.
        malformed: Malformed,
    },
    /// The expression of `-f` does not suit what the file has.
    #[error(transparent)]
    Expression(#[from] bpf::Error),
}

impl CaptureFile {
    /// Opens a file (`-`: standard input) and reads its header.
    ///
    /// # Errors
    /// The file cannot be opened or read, or is no capture.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let reader: Box<dyn Read + Send> = if path == Path::new(STANDARD_INPUT) {
            Box::new(std::io::stdin())
        } else {
            Box::new(File::open(path).map_err(|error| Error::Open { path: path.to_owned(), error })?)
        };
        Self::new(path.display().to_string(), reader)
    }

    /// Reads from anything; `name` is the path in messages and in the ledger.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn new(name: String, reader: Box<dyn Read + Send>) -> Result<Self, Error> {
        let mut window = Window::new(reader);
        while window.unread().len() < pcap::HEADER_OCTETS
            && window.fill().map_err(|error| Error::Read { path: name.clone(), offset: 0, error })?
        {}
        let decoder = begin(&name, &mut window)?;
        Ok(Self {
            point: ObservationPoint { interface: name, ingress_interface: 0, queue: 0 },
            window,
            decoder,
            staged: Vec::with_capacity(BURST_CAPACITY),
            last_nanoseconds: 0,
            record_offset: 0,
            ended: false,
            torn_at: None,
            seen: Amount::ZERO,
            redirected: Amount::ZERO,
            received: Amount::ZERO,
            selector: None,
        })
    }

    /// Frames that this expression does not select are marked as left out.
    ///
    /// # Errors
    /// The expression does not suit the link type of the file (of a pcapng file: of its first interface; a later one is met on the way,
    /// and ends the reading), or the file cannot be read up to there.
    pub fn selecting(mut self, expression: &Expression) -> Result<Self, Error> {
        let mut selector = FileSelector::new(expression);
        while self.decoder.first_link_layer().is_none() {
            match self.decoder.step(self.window.unread()) {
                Ok(Step::Skip(octets)) => self.window.skip(octets),
                Ok(Step::More) if self.fill()? => {}
                // The reading will say what is wrong there.
                Ok(Step::More | Step::Packet(_)) | Err(_) => break,
            }
        }
        if let Some(link) = self.decoder.first_link_layer() {
            selector.admit(link)?;
        }
        self.selector = Some(selector);
        Ok(self)
    }

    /// Stages packets until the burst is full, the stream has ended, or what is staged need not wait for a read.
    fn stage(&mut self) -> Result<(), Error> {
        self.staged.clear();
        loop {
            self.stage_run();
            if self.staged.len() >= STAGED_CAPACITY {
                return Ok(());
            }
            if self.window.lacking() == 0 {
                self.record_offset = self.window.offset();
            }
            let step = self.decoder.step(self.window.unread()).map_err(|malformed| Error::Malformed {
                path: self.point.interface.clone(),
                offset: self.record_offset,
                malformed,
            })?;
            match step {
                Step::Packet(packet) => {
                    if let Some(selector) = &mut self.selector {
                        selector.admit(packet.link_layer)?;
                    }
                    self.push(self.window.start(), packet);
                    self.window.skip(packet.record_octets as u64);
                }
                Step::Skip(octets) => self.window.skip(octets),
                Step::More if !self.staged.is_empty() => return Ok(()),
                Step::More => {
                    if !self.fill()? {
                        self.end();
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Packets that lie whole one behind the other, in a loop of their own: most octets of most files are such.
    fn stage_run(&mut self) {
        let (start, end) = (self.window.start(), self.window.start() + self.window.unread().len());
        let mut at = start;
        while self.staged.len() < STAGED_CAPACITY
            && let Some(packet) = self.decoder.record(&self.window.octets()[at..end])
        {
            self.push(at, packet);
            at += packet.record_octets;
        }
        self.window.skip((at - start) as u64);
    }

    #[inline]
    fn push(&mut self, record_at: usize, packet: Packet) {
        self.last_nanoseconds = packet.timestamp_nanoseconds.unwrap_or(self.last_nanoseconds);
        self.staged.push(Staged {
            start: record_at + packet.data_offset,
            captured_octets: packet.captured_octets,
            original_octets: packet.original_octets,
            timestamp_nanoseconds: self.last_nanoseconds,
            link_layer: packet.link_layer,
        });
    }

    /// What is staged now: asked anew at each step, so that a packet that goes astray between two shows.
    fn amount(&self) -> Amount {
        let octets = self.staged.iter().map(|staged| u64::from(staged.original_octets)).sum();
        Amount { packets: self.staged.len() as u64, octets }
    }

    fn fill(&mut self) -> Result<bool, Error> {
        self.window.fill().map_err(|error| Error::Read {
            path: self.point.interface.clone(),
            offset: self.window.offset(),
            error,
        })
    }

    fn end(&mut self) {
        self.ended = true;
        if !self.window.unread().is_empty() || self.window.lacking() > 0 {
            self.torn_at = Some(self.record_offset);
        }
    }

    /// The frames of what is staged, in place.
    fn lend_staged(&mut self, lend: &mut dyn FnMut(&[Frame<'_>])) {
        self.received += self.amount();
        let octets = self.window.octets();
        let mut frames = [NO_FRAME; BURST_CAPACITY];
        for (frame, staged) in frames.iter_mut().zip(&self.staged) {
            let bytes = &octets[staged.start..staged.start + staged.captured_octets as usize];
            *frame = Frame {
                bytes,
                further_octets: 0,
                original_octets: staged.original_octets,
                timestamp_nanoseconds: staged.timestamp_nanoseconds,
                link_layer: staged.link_layer,
                stripped_vlan: None,
                left_out: self.selector.as_ref().is_some_and(|selector| {
                    !selector.selects(staged.link_layer, bytes, staged.original_octets)
                }),
            };
        }
        lend(&frames[..self.staged.len()]);
    }

    /// Where a fault-injection build loses or doubles a frame of what is staged.
    fn suffer(&mut self, hop: Hop) {
        match take(hop) {
            None => {}
            Some(Fault::Lose) => drop(self.staged.pop()),
            Some(Fault::Double) => self.staged.extend_from_within(self.staged.len() - 1..),
        }
    }
}

/// Chooses the decoder by the first octets, and passes over the header of a pcap file.
fn begin(name: &str, window: &mut Window<Box<dyn Read + Send>>) -> Result<Decoder, Error> {
    let unread = window.unread();
    let truncated = || Error::HeaderTruncated { path: name.to_owned(), octets: unread.len() };
    let magic: [u8; 4] = *unread.first_chunk().ok_or_else(truncated)?;
    if u32::from_be_bytes(magic) == pcapng::SECTION_HEADER {
        return Ok(Decoder::Pcapng(pcapng::Decoder::new()));
    }
    if !pcap::Decoder::recognises(magic) {
        return Err(Error::NotACapture { path: name.to_owned(), magic, hint: hint(magic) });
    }
    let header = unread.first_chunk().ok_or_else(truncated)?;
    let decoder = pcap::Decoder::new(header).map_err(|malformed| Error::Malformed {
        path: name.to_owned(),
        offset: 0,
        malformed,
    })?;
    window.skip(pcap::HEADER_OCTETS as u64);
    Ok(Decoder::Pcap(decoder))
}

fn hint(magic: [u8; 4]) -> &'static str {
    match magic {
        [0x1f, 0x8b, ..] => ": it is compressed, try `gunzip -c FILE | gannet-probe -i -`",
        [0x28, 0xb5, 0x2f, 0xfd] => ": it is compressed, try `zstd -dc FILE | gannet-probe -i -`",
        [0xfd, 0x37, 0x7a, 0x58] => ": it is compressed, try `xz -dc FILE | gannet-probe -i -`",
        _ => "",
    }
}

impl Source for CaptureFile {
    fn observation_point(&self) -> &ObservationPoint {
        &self.point
    }

    fn receive(&mut self, _now: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, super::Error> {
        if self.ended {
            return Ok(State::Ended);
        }
        // What stands before a broken place is lent before the error is told: the next call finds it again.
        match self.stage() {
            Err(error) if self.staged.is_empty() => {
                self.ended = true;
                return Err(error.into());
            }
            _ if self.staged.is_empty() => return Ok(State::Ended),
            _ => {}
        }
        self.seen += self.amount();
        self.suffer(Hop::Kernel);
        self.redirected += self.amount();
        self.suffer(Hop::Receive);
        if !self.staged.is_empty() {
            self.lend_staged(lend);
        }
        Ok(State::Some)
    }

    fn wait(&mut self, _timeout: Duration) -> Result<(), super::Error> {
        Ok(())
    }

    fn terms(&mut self) -> Result<QueueTerms, super::Error> {
        Ok(QueueTerms {
            interface: self.point.interface.clone(),
            queue: self.point.queue,
            seen: self.seen,
            redirected: self.redirected,
            received: self.received,
            ..QueueTerms::default()
        })
    }

    fn notice(&self) -> Option<String> {
        let offset = self.torn_at?;
        let name = &self.point.interface;
        Some(format!("capture file {name}: cut off within the record at offset {offset}; read up to there"))
    }
}
