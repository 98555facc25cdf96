//! `-f`: a pcap-filter expression (pcap-filter(7)), as tcpdump takes it.
//!
//! ```text
//! expression ─► libpcap compiles it, once a link type ─► verified Program ─┬─► judges each frame before metering
//!                                                                          ├─► kernel's copy, packet sockets (`xsk`)
//!                                                                          └─► necessary: rules for the XDP program
//! ```
//! The worker's judgement is the whole truth: a frame is selected when the program says so, as it lay on the wire, whatever captured it.
//! The kernel only spares the worker what the program would leave out anyway.

mod instruction;
mod libpcap;
mod necessary;
mod program;
mod selector;
#[cfg(test)]
mod tests;

use super::LinkLayer;

pub use instruction::Instruction;
pub use program::{Program, Refused};
pub use selector::{FileSelector, Selector};

/// What stands behind `-f`, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(String);

/// An expression that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// libpcap does not understand it.
    #[error(
        "-f '{expression}': {reason} (libpcap, for {link})\n  mend: see `man 7 pcap-filter`; `tcpdump -d '{expression}'` tries one"
    )]
    NotCompiled {
        /// As it was written.
        expression: String,
        /// libpcap's words.
        reason: String,
        /// For which link type.
        link: &'static str,
    },
    /// The program that came of it is not one that can be run here.
    #[error("-f '{expression}': {reason}\n  mend: write it without protochain, or filter by tcpdump before")]
    NotRun {
        /// As it was written.
        expression: String,
        /// Why.
        reason: Refused,
    },
    /// There is no libpcap.
    #[error(
        "-f '{expression}': libpcap compiles it, and cannot be loaded: {reason}\n  mend: install it (Debian, Ubuntu: libpcap0.8; \
         Fedora, RHEL: libpcap), or use --capture-filter"
    )]
    NoLibrary {
        /// As it was written.
        expression: String,
        /// What the loader said.
        reason: String,
    },
}

impl Error {
    /// Whether the host lacks something, and the expression may be right.
    pub fn is_of_host(&self) -> bool {
        matches!(self, Self::NoLibrary { .. })
    }
}

impl Expression {
    /// As it was written.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Compiles it for frames of one link layer. Names of hosts in it are looked up now, and may take their time.
    ///
    /// # Errors
    /// [`Error`], with libpcap's words.
    pub fn compile(&self, link: LinkLayer) -> Result<Program, Error> {
        let expression = || self.0.clone();
        let instructions = libpcap::compile(&self.0, data_link_type(link)).map_err(|error| match error {
            libpcap::Error::Refused(reason) => {
                Error::NotCompiled { expression: expression(), reason, link: name(link) }
            }
            libpcap::Error::NoLibrary(reason) => Error::NoLibrary { expression: expression(), reason },
        })?;
        Program::new(&instructions).map_err(|reason| Error::NotRun { expression: expression(), reason })
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// libpcap compiles for its DLT_ numbers; files have LINKTYPE_ numbers, which differ below 107 (libpcap, `pcap-common.c`).
fn data_link_type(link: LinkLayer) -> i32 {
    match link {
        LinkLayer::Ethernet => 1,
        LinkLayer::Ip => 12,
        LinkLayer::Ipv4 => 228,
        LinkLayer::Ipv6 => 229,
        LinkLayer::LinuxCookedV1 => 113,
        LinkLayer::LinuxCookedV2 => 276,
        LinkLayer::Null => 0,
        LinkLayer::Loop => 108,
        LinkLayer::Other(100) => 11,
        LinkLayer::Other(102) => 15,
        LinkLayer::Other(103) => 16,
        LinkLayer::Other(106) => 19,
        LinkLayer::Other(number) => i32::try_from(number).unwrap_or(-1),
    }
}

fn name(link: LinkLayer) -> &'static str {
    match link {
        LinkLayer::Ethernet => "Ethernet frames",
        LinkLayer::Ip | LinkLayer::Ipv4 | LinkLayer::Ipv6 => "IP packets without a link layer",
        LinkLayer::LinuxCookedV1 | LinkLayer::LinuxCookedV2 => "Linux cooked captures",
        LinkLayer::Null | LinkLayer::Loop => "the loopback link type",
        LinkLayer::Other(_) => "the link type of the file",
    }
}
