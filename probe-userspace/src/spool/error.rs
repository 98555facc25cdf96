//! Why there is no spool.

use std::io;
use std::path::PathBuf;

use flow_wire::stamp::ProbeId;

/// A spool that cannot be opened. What goes wrong later is counted, said, and never ends a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be made or opened.
    #[error("spool {}: {error}\n  mend: make it writable, name another --state-dir, or --no-spool", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is no such folder.
    #[error("spool {}: there is none\n  mend: name the state directory of the probe with --state-dir", .0.display())]
    None(PathBuf),
    /// Another process has it.
    #[error(
        "spool {}: held by the process {process}, another probe with the same state directory\n  mend: end that one, or give \
         this one a --state-dir of its own",
        path.display()
    )]
    Held {
        /// Which folder.
        path: PathBuf,
        /// Which process.
        process: u32,
    },
    /// It cannot be given away.
    #[error(
        "the spool cannot be given to the user {uid}: {error}\n  mend: leave the probe CAP_CHOWN, run it with --user root, or \
         --no-spool"
    )]
    Owner {
        /// Whom.
        uid: u32,
        /// What the system said.
        error: io::Error,
    },
    /// A call failed.
    #[error("spool: {operation} failed: {error}\n  mend: look after the disk, or name another --state-dir")]
    Disk {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The file `identity` is not readable as such.
    #[error(
        "spool: its file 'identity' is damaged ({reason})\n  mend: move the folder 'spool' of the state directory away; what \
         it holds is then not sent"
    )]
    Identity {
        /// What the parser said.
        reason: String,
    },
    /// It is full of another probe's batches.
    #[error(
        "spool: it holds batches of the probe {}, and this one is {}\n  mend: give it a --state-dir of its own, or leave \
         --probe-id out",
        found.0, asked.0
    )]
    OtherProbe {
        /// In the spool.
        found: ProbeId,
        /// Of this run.
        asked: ProbeId,
    },
}
