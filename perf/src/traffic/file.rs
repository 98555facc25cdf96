//! Traffic of a capture file: its packets in their order, as Ethernet frames.

use std::fs::File;
use std::path::Path;

use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

use super::{OCTETS_MAX, Traffic};
use crate::craft::Ethernet;

/// Read at a time; a longer block makes the reader ask for more room.
const BUFFER_BYTES: usize = 1 << 20;

/// Packets of the file that are not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Of a link type that is neither Ethernet nor bare IP.
    pub link_type: u64,
    /// Shorter than an Ethernet header.
    pub too_short: u64,
    /// Longer than the device, or live frames, can carry.
    pub too_long: u64,
    /// Cut off when captured: what is missing cannot be sent.
    pub snapped: u64,
    /// 1 where the file ends in the middle of a packet, as one does that is still being written.
    pub cut_off: u64,
}

/// A file that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It cannot be opened.
    #[error("cannot read capture file {path}: {source}")]
    Open {
        /// Which.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no capture, or a broken one.
    #[error("{path} is broken, or no capture file: {reason}; `capinfos {path}` says what it is")]
    Format {
        /// Which.
        path: String,
        /// What the reader says.
        reason: String,
    },
    /// More than is kept in memory.
    #[error("{path} has more than {OCTETS_MAX} octets of packets; send a part of it (`editcap -r`)")]
    TooLarge {
        /// Which.
        path: String,
    },
}

/// What is known of the interfaces of the file while it is read.
#[derive(Default)]
struct Links {
    of_interface: Vec<Linktype>,
}

/// One packet of the file: its link type, what was kept, how long it was.
struct Packet<'a> {
    link: Linktype,
    bytes: &'a [u8],
    original_octets: u32,
}

impl Links {
    /// The packet in a block, if it has one.
    fn packet<'a>(&mut self, block: &'a PcapBlockOwned<'a>) -> Option<Packet<'a>> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.of_interface = vec![header.network];
                None
            }
            PcapBlockOwned::Legacy(packet) => self.legacy(packet.data, packet.caplen, packet.origlen),
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.of_interface.clear();
                None
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                self.of_interface.push(interface.linktype);
                None
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let link = *self.of_interface.get(packet.if_id as usize)?;
                let bytes = packet.data.get(..packet.caplen as usize)?;
                Some(Packet { link, bytes, original_octets: packet.origlen })
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                self.legacy(packet.data, packet.origlen.min(packet.data.len() as u32), packet.origlen)
            }
            PcapBlockOwned::NG(_) => None,
        }
    }

    fn legacy<'a>(&self, data: &'a [u8], kept: u32, original_octets: u32) -> Option<Packet<'a>> {
        Some(Packet { link: *self.of_interface.first()?, bytes: data.get(..kept as usize)?, original_octets })
    }
}

/// Reads all packets of a pcap or pcapng file. Frames longer than `longest` are skipped, and counted.
///
/// # Errors
/// When it cannot be read, is broken, or is larger than [`OCTETS_MAX`].
pub fn read(path: &Path, longest: usize) -> Result<(Traffic, Skipped), Unreadable> {
    let name = path.display().to_string();
    let broken = |reason: String| Unreadable::Format { path: name.clone(), reason };
    let file = File::open(path).map_err(|source| Unreadable::Open { path: name.clone(), source })?;
    let mut reader = create_reader(BUFFER_BYTES, file).map_err(|error| broken(format!("{error:?}")))?;
    let (mut traffic, mut skipped, mut links) = (Traffic::default(), Skipped::default(), Links::default());
    loop {
        match reader.next() {
            Ok((consumed, block)) => {
                let packet = links.packet(&block);
                if !packet.is_none_or(|packet| take(&packet, longest, &mut traffic, &mut skipped)) {
                    return Err(Unreadable::TooLarge { path: name });
                }
                reader.consume(consumed);
            }
            Err(PcapError::Eof) => return Ok((traffic, skipped)),
            Err(PcapError::UnexpectedEof) => {
                skipped.cut_off += 1;
                return Ok((traffic, skipped));
            }
            Err(PcapError::Incomplete(_)) => reader.refill().map_err(|error| broken(format!("{error:?}")))?,
            Err(error) => return Err(broken(format!("{error:?}"))),
        }
    }
}

/// Takes one packet, or counts why not; `false` when memory for frames is used up.
fn take(packet: &Packet<'_>, longest: usize, traffic: &mut Traffic, skipped: &mut Skipped) -> bool {
    let frame = match packet.link {
        Linktype::ETHERNET => packet.bytes.to_vec(),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => Ethernet::default().frame(packet.bytes),
        _ => {
            skipped.link_type += 1;
            return true;
        }
    };
    if packet.bytes.len() < packet.original_octets as usize {
        skipped.snapped += 1;
    } else if frame.len() < crate::kernel::bpf::FRAME_MIN_OCTETS {
        skipped.too_short += 1;
    } else if frame.len() > longest {
        skipped.too_long += 1;
    } else {
        return traffic.push(&frame, 1);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::craft::{LinkType, Pcap, PcapNg, Record, packet, udp};

    fn frames(file: &[u8], longest: usize) -> Result<(Vec<Vec<u8>>, Skipped), Unreadable> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture");
        std::fs::write(&path, file).unwrap();
        let (traffic, skipped) = read(&path, longest)?;
        Ok(((0..traffic.count()).map(|index| traffic.frame(index).to_vec()).collect(), skipped))
    }

    fn ip() -> Vec<u8> {
        packet(&udp("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap(), &[7; 50]))
    }

    #[test]
    fn packets_come_in_their_order_and_what_is_not_sent_is_counted() {
        let frame = Ethernet::default().frame(&ip());
        let records = [
            Record::whole(1, frame.clone()),
            Record::snapped(2, frame.clone(), 60),
            Record::whole(3, vec![1; 13]),
            Record::whole(4, vec![2; 200]),
            Record::whole(5, vec![3; 20]),
        ];
        let (sent, skipped) = frames(&Pcap::new(LinkType::Ethernet).file(&records), 150).unwrap();
        assert_eq!(sent, [frame, vec![3; 20]]);
        assert_eq!(skipped, Skipped { too_short: 1, too_long: 1, snapped: 1, ..Skipped::default() });
    }

    #[test]
    fn bare_ip_gets_an_ethernet_header_and_other_links_are_counted() {
        let mut file = PcapNg::new(&[LinkType::Raw, LinkType::Wifi]);
        file.push(0, &Record::whole(1, ip()));
        file.push(1, &Record::whole(2, ip()));
        let (sent, skipped) = frames(file.file(), 1514).unwrap();
        assert_eq!(sent, [Ethernet::default().frame(&ip())]);
        assert_eq!(skipped, Skipped { link_type: 1, ..Skipped::default() });
    }

    #[test]
    fn the_last_packet_of_a_file_that_ends_too_early_is_counted() {
        let mut file = Pcap::new(LinkType::Ethernet)
            .file(&[Record::whole(1, vec![0; 60]), Record::whole(2, vec![1; 60])]);
        file.truncate(file.len() - 1);
        let (sent, skipped) = frames(&file, 1514).unwrap();
        assert_eq!(sent, [vec![0; 60]]);
        assert_eq!(skipped, Skipped { cut_off: 1, ..Skipped::default() });
    }

    #[test]
    fn what_is_no_capture_is_refused_by_name() {
        let error = frames(b"this is no capture file", 1514).unwrap_err();
        assert!(error.to_string().contains("capinfos"), "{error}");
    }
}
