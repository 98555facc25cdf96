//! An expression, compiled for the link layers that come: those of the interfaces at the start, those of a file as they are met.

use super::necessary;
use super::program::Octets;
use super::{Error, Expression, Program};
use crate::source::LinkLayer;
use crate::source::xdp::CaptureFilter;

/// For live sources: judges without compiling anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    expression: Expression,
    programs: Vec<(LinkLayer, Program)>,
    /// For the XDP program.
    rules: Option<(String, CaptureFilter)>,
}

impl Selector {
    /// Compiles an expression for these link layers.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(expression: &Expression, links: &[LinkLayer]) -> Result<Self, Error> {
        let mut programs: Vec<(LinkLayer, Program)> = Vec::new();
        for &link in links {
            if programs.iter().all(|(known, _)| *known != link) {
                programs.push((link, expression.compile(link)?));
            }
        }
        let ethernet = programs.iter().find(|(link, _)| *link == LinkLayer::Ethernet);
        let rules = ethernet.and_then(|(_, program)| necessary::rules(program));
        Ok(Self { expression: expression.clone(), programs, rules })
    }

    /// As it was written.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The program for frames of a link layer.
    pub fn program(&self, link: LinkLayer) -> Option<&Program> {
        self.programs.iter().find(|(known, _)| *known == link).map(|(_, program)| program)
    }

    /// What the XDP program may leave out by: the words, and the filter of them. `None` = it needs every frame.
    pub fn rules(&self) -> Option<&(String, CaptureFilter)> {
        self.rules.as_ref()
    }

    /// Whether it selects a frame as it lies in memory.
    #[inline]
    pub fn selects(&self, link: LinkLayer, frame: &[u8], original_octets: u32) -> bool {
        self.program(link).is_some_and(|program| program.selects(frame, original_octets))
    }

    /// The same of a frame whose outermost VLAN tag was taken off: as it was on the wire.
    pub fn selects_tagged(&self, frame: &[u8], tag: (u16, u16), original_octets: u32) -> bool {
        let tagged = Tagged { frame, tag };
        self.program(LinkLayer::Ethernet).is_some_and(|program| program.selects(&tagged, original_octets))
    }
}

/// An Ethernet frame with a tag (TPID, TCI) put back behind its addresses.
struct Tagged<'a> {
    frame: &'a [u8],
    tag: (u16, u16),
}

const TAG_AT: usize = 12;
const TAG_OCTETS: usize = 4;

impl Octets for Tagged<'_> {
    fn octet(&self, at: usize) -> Option<u8> {
        let [tpid, tci] = [self.tag.0, self.tag.1].map(u16::to_be_bytes);
        match at {
            ..TAG_AT => self.frame.get(at).copied(),
            // A frame that is cut off within its addresses has no tag either.
            12..16 if self.frame.len() >= TAG_AT => Some([tpid[0], tpid[1], tci[0], tci[1]][at - TAG_AT]),
            _ => self.frame.get(at.checked_sub(TAG_OCTETS)?).copied().filter(|_| self.frame.len() >= TAG_AT),
        }
    }
}

/// A frame of a loopback link type. The family of LINKTYPE_NULL is in the byte order of who captured it, and that of IPv6 is each
/// system's own: libpcap compiles for this host's order and number, unless it reads the file itself.
struct Family<'a> {
    frame: &'a [u8],
    is_network_order: bool,
}

/// AF_INET6 of NetBSD and OpenBSD, FreeBSD, Darwin.
const FAMILIES_OF_IPV6: [u32; 3] = [24, 28, 30];

impl Octets for Family<'_> {
    fn octet(&self, at: usize) -> Option<u8> {
        if at >= 4 {
            return self.frame.get(at).copied();
        }
        let octets = *self.frame.first_chunk()?;
        // Every known family is small: see `packet::link`.
        let family = u32::from_le_bytes(octets).min(u32::from_be_bytes(octets));
        let family = if FAMILIES_OF_IPV6.contains(&family) { libc::AF_INET6 as u32 } else { family };
        Some(if self.is_network_order { family.to_be_bytes() } else { family.to_ne_bytes() }[at])
    }
}

/// For a capture file, which says link layer by link layer what it has.
#[derive(Debug)]
pub struct FileSelector {
    expression: Expression,
    programs: Vec<(LinkLayer, Program)>,
}

impl FileSelector {
    /// Compiles nothing yet.
    pub fn new(expression: &Expression) -> Self {
        Self { expression: expression.clone(), programs: Vec::new() }
    }

    /// Makes sure that frames of this link layer can be judged: compiles once for each.
    ///
    /// # Errors
    /// [`Error`].
    #[inline]
    pub fn admit(&mut self, link: LinkLayer) -> Result<(), Error> {
        if self.programs.iter().all(|(known, _)| *known != link) {
            self.programs.push((link, self.expression.compile(link)?));
        }
        Ok(())
    }

    /// Whether it selects a frame of a link layer that was admitted.
    #[inline]
    pub fn selects(&self, link: LinkLayer, frame: &[u8], original_octets: u32) -> bool {
        let Some((_, program)) = self.programs.iter().find(|(known, _)| *known == link) else { return false };
        match link {
            LinkLayer::Null | LinkLayer::Loop => {
                let is_network_order = link == LinkLayer::Loop;
                program.selects(&Family { frame, is_network_order }, original_octets)
            }
            _ => program.selects(frame, original_octets),
        }
    }
}
