//! Why a run cannot begin, or come to its end.

use std::io;
use std::path::PathBuf;

use crate::run::fields::TemplateError;
use crate::run::{host, identity};
use crate::{config, export, source};

/// A run that failed: exit code 1, or 2 where the configuration is at fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The fault of a fault-injection build.
    #[error(transparent)]
    Fault(#[from] flow_wire::fault::Error),
    /// The probe has no identity.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// Signals cannot be waited for.
    #[error("cannot wait for SIGINT and SIGTERM: {0}")]
    Signals(io::Error),
    /// `--kafka-conf list`.
    #[error("--kafka-conf list: {0}")]
    Listing(io::Error),
    /// A template that no schema can be made of.
    #[error("fields: {0}\n  mend: leave -T out for what ntopng reads (@NTOPNG@)")]
    Template(#[from] TemplateError),
    /// No thread, no descriptor.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// No wake-up for a worker.
    #[error("cannot make the rings between workers: {0}\n  mend: raise the limit of open files (ulimit -n)")]
    Handover(io::Error),
    /// The shunt needs two maps and a thread of its own.
    #[error(
        "cannot make what --shunt needs: {0}\n  mend: raise the limit of open files (ulimit -n), or leave --shunt out"
    )]
    Shunt(io::Error),
    /// No memory for the flow caches.
    #[error("cannot map the memory of the flow caches: {0}\n  mend: give -M fewer flows")]
    FlowMemory(io::Error),
    /// A capture file.
    #[error(transparent)]
    CaptureFile(#[from] source::capture_file::Error),
    /// A socket.
    #[error(transparent)]
    Socket(#[from] xsk::Error),
    /// The XDP program.
    #[error(transparent)]
    Xdp(#[from] source::xdp::Error),
    /// The output of `--flows`.
    #[error(transparent)]
    Flows(#[from] export::json_lines::Error),
    /// A Kafka endpoint.
    #[error(transparent)]
    Kafka(#[from] export::kafka::Error),
    /// A ZMQ endpoint.
    #[error(transparent)]
    Zmq(#[from] export::zmq::Error),
    /// The exporter.
    #[error(transparent)]
    Export(#[from] export::Error),
    /// The output of `--ledger`.
    #[error("--ledger {}: {error}\n  mend: name a file in a folder that this user may write", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The port of `--http`.
    #[error("--http {address}: {error}\n  mend: name a free port")]
    Http {
        /// As configured.
        address: std::net::SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The spool.
    #[error(transparent)]
    Spool(#[from] crate::spool::Error),
    /// A spool that has never been used, on a disk where it would discard every batch.
    #[error(
        "spool {}: {} MB are free there, and a segment takes {} MB: every batch would be discarded\n  mend: make room, name another \
         --state-dir, give a smaller --spool-size, or --no-spool", path.display(), free >> 20, needed >> 20
    )]
    NoRoom {
        /// Its folder.
        path: PathBuf,
        /// Octets.
        free: u64,
        /// Octets.
        needed: u64,
    },
    /// No such cursor.
    #[error("spool drop {name}: there is no such cursor\n  mend: name one of these: {known}")]
    NoCursor {
        /// As it was written.
        name: String,
        /// What there is.
        known: String,
    },
    /// A cursor that a running probe uses.
    #[error(
        "spool drop {name}: a sink of the running probe uses it\n  mend: end the probe, or take the sink out of its \
         configuration, or end the collector that reads it over ZMQ, first"
    )]
    CursorInUse {
        /// As it was written.
        name: String,
    },
    /// Rights cannot be given up.
    #[error(transparent)]
    Privilege(#[from] host::PrivilegeError),
}

impl Error {
    /// Whether AF_XDP is what this host, or this process, does not have. An interface whose queue or program somebody
    /// else holds is another matter: a packet socket would only see what that one lets pass.
    pub(super) fn is_refusal_of_xdp(&self) -> bool {
        match self {
            Self::Xdp(error) => !matches!(error, source::xdp::Error::Busy { .. }),
            Self::Socket(error) => error.errno().is_some_and(|number| number != libc::EBUSY),
            _ => false,
        }
    }

    /// Whether what was asked for is malformed or contradicts itself: exit code 2. What the host refuses at the moment (a port
    /// in use, a full disk, a folder that may not be written) is a failure: exit code 1, as of the collector.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Config(config::Error::Expression(error))
            | Self::CaptureFile(source::capture_file::Error::Expression(error)) => !error.is_of_host(),
            _ => self.is_wrong(),
        }
    }

    fn is_wrong(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::Fault(_)
                | Self::Kafka(_)
                | Self::Template(_)
                | Self::NoCursor { .. }
                | Self::Privilege(host::PrivilegeError::NoSuchUser(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_refuses_is_no_wrong_usage() {
        let error = || io::Error::from(io::ErrorKind::AddrInUse);
        assert!(!Error::Http { address: ([127, 0, 0, 1], 1).into(), error: error() }.is_usage());
        assert!(!Error::Ledger { path: "books".into(), error: error() }.is_usage());
        assert!(Error::Config(config::Error::InputTwice { name: "eno1".into() }).is_usage());
    }
}
