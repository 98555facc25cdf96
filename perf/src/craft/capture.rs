//! Capture files: pcap in any byte order and resolution, pcapng with several interfaces.

use super::link::LinkType;

/// One packet of a file.
#[derive(Clone, Debug)]
pub struct Record {
    /// When, since the UNIX epoch.
    pub timestamp_nanoseconds: u64,
    /// What was kept of it.
    pub bytes: Vec<u8>,
    /// How long it was.
    pub original_octets: u32,
}

impl Record {
    /// A packet that was kept whole.
    #[must_use]
    pub fn whole(timestamp_nanoseconds: u64, bytes: Vec<u8>) -> Self {
        let original_octets = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { timestamp_nanoseconds, bytes, original_octets }
    }

    /// A packet of which only the first `kept` octets were kept.
    #[must_use]
    pub fn snapped(timestamp_nanoseconds: u64, mut bytes: Vec<u8>, kept: usize) -> Self {
        let original_octets = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes.truncate(kept);
        Self { timestamp_nanoseconds, bytes, original_octets }
    }
}

/// Unit of a pcap file's fractions of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Magic 0xa1b2c3d4.
    Microseconds,
    /// Magic 0xa1b23c4d.
    Nanoseconds,
}

/// A pcap file (the classic format, version 2.4).
#[derive(Clone, Copy, Debug)]
pub struct Pcap {
    /// Link type of all its packets.
    pub link: LinkType,
    /// Resolution of its time stamps.
    pub resolution: Resolution,
    /// Byte order of its headers.
    pub big_endian: bool,
}

/// Snap length written to the headers: what tcpdump writes.
const SNAP_LENGTH: u32 = 262_144;
const NANOSECONDS: u64 = 1_000_000_000;

impl Pcap {
    /// Nanoseconds, little endian.
    #[must_use]
    pub fn new(link: LinkType) -> Self {
        Self { link, resolution: Resolution::Nanoseconds, big_endian: false }
    }

    fn word(self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// The header of the file.
    #[must_use]
    pub fn header(self) -> Vec<u8> {
        let magic = match self.resolution {
            Resolution::Microseconds => 0xa1b2_c3d4,
            Resolution::Nanoseconds => 0xa1b2_3c4d,
        };
        let version = if self.big_endian { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
        let mut bytes = self.word(magic).to_vec();
        bytes.extend(version);
        bytes.extend([0; 8]);
        bytes.extend(self.word(SNAP_LENGTH));
        bytes.extend(self.word(self.link as u32));
        bytes
    }

    /// What stands before a packet: its time since the UNIX epoch, how many of its octets follow, how long it was.
    #[must_use]
    pub fn record_header(self, timestamp_nanoseconds: u64, kept: u32, original_octets: u32) -> [u8; 16] {
        let fraction = timestamp_nanoseconds % NANOSECONDS;
        let fraction = match self.resolution {
            Resolution::Microseconds => fraction / 1000,
            Resolution::Nanoseconds => fraction,
        };
        let seconds = (timestamp_nanoseconds / NANOSECONDS) as u32;
        let words = [seconds, fraction as u32, kept, original_octets].map(|value| self.word(value));
        let mut header = [0; 16];
        header.copy_from_slice(words.as_flattened());
        header
    }

    /// A packet as it stands in the file.
    #[must_use]
    pub fn record(self, record: &Record) -> Vec<u8> {
        let kept = record.bytes.len() as u32;
        let header = self.record_header(record.timestamp_nanoseconds, kept, record.original_octets);
        let mut bytes = header.to_vec();
        bytes.extend(&record.bytes);
        bytes
    }

    /// The whole file.
    #[must_use]
    pub fn file(self, records: &[Record]) -> Vec<u8> {
        let mut bytes = self.header();
        records.iter().for_each(|record| bytes.extend(self.record(record)));
        bytes
    }
}

/// A pcapng file, little endian: one section, an interface per link type, enhanced packet blocks.
#[derive(Clone, Debug)]
pub struct PcapNg {
    bytes: Vec<u8>,
}

impl PcapNg {
    /// A file whose interface `n` has the `n`th link type, with nanosecond time stamps.
    #[must_use]
    pub fn new(interfaces: &[LinkType]) -> Self {
        let mut file = Self { bytes: Vec::new() };
        let mut section = 0x1a2b_3c4du32.to_le_bytes().to_vec();
        section.extend([1, 0, 0, 0]);
        section.extend([0xff; 8]);
        file.block(0x0a0d_0d0a, &section);
        for link in interfaces {
            let mut body = (*link as u32).to_le_bytes().to_vec();
            body.extend(SNAP_LENGTH.to_le_bytes());
            // Option 9, if_tsresol: 10^-9. Option 0 ends the list.
            body.extend([9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
            file.block(1, &body);
        }
        file
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = (12 + body.len().next_multiple_of(4)) as u32;
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend(length.to_le_bytes());
    }

    /// Adds a packet that interface `interface` saw.
    pub fn push(&mut self, interface: u32, record: &Record) {
        let mut body = interface.to_le_bytes().to_vec();
        body.extend(((record.timestamp_nanoseconds >> 32) as u32).to_le_bytes());
        body.extend((record.timestamp_nanoseconds as u32).to_le_bytes());
        body.extend((record.bytes.len() as u32).to_le_bytes());
        body.extend(record.original_octets.to_le_bytes());
        body.extend(&record.bytes);
        self.block(6, &body);
    }

    /// The file so far.
    #[must_use]
    pub fn file(&self) -> &[u8] {
        &self.bytes
    }
}
