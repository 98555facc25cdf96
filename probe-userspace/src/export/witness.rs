//! A log of what was sealed, written before anything else can become of it: an oracle of the chaos harness, which holds it
//! against the store. Only builds with faults have it; `GANNET_SEALED_LOG` names the file.

use flow_wire::batch::Sealed;

/// Adds a line: epoch, stream, sequence, CRC32C, rows. One write, so that a kill leaves a whole line or none.
#[cfg(feature = "fault-injection")]
pub(super) fn saw(sealed: &Sealed) {
    use std::io::Write;
    static LOG: std::sync::OnceLock<Option<std::fs::File>> = std::sync::OnceLock::new();
    let Some(mut log) = LOG.get_or_init(open).as_ref() else { return };
    let header = &sealed.header;
    let (stamp, crc32c, rows) = (header.stamp, header.crc32c, header.rows);
    let line = format!("{} {} {} {crc32c} {rows}\n", stamp.epoch.0, stamp.stream.0, stamp.sequence.0);
    if let Err(error) = log.write_all(line.as_bytes()) {
        tracing::error!(%error, "the log of sealed batches is not whole");
    }
}

#[cfg(feature = "fault-injection")]
fn open() -> Option<std::fs::File> {
    let path = std::env::var_os("GANNET_SEALED_LOG")?;
    let log = std::fs::OpenOptions::new().append(true).create(true).open(&path);
    log.inspect_err(|error| tracing::error!(%error, ?path, "no log of sealed batches")).ok()
}

/// Nothing, in this build.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(super) const fn saw(_sealed: &Sealed) {}
