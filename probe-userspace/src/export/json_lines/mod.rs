//! `--flows PATH`: one flow a line, read back from the sealed batches, so that a line and a row of the bus are the same.

mod line;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_wire::batch::{Sealed, open, records};
use flow_wire::bus::Kind;
use flow_wire::ledger::{Discard, Guarantee};

use super::Sink;
use super::outbox::{Cursor, Next};

/// Octets that are gathered before a write.
const BUFFER_OCTETS: usize = 1 << 20;

/// Batches and octets taken at once: what the buffer then holds is written within milliseconds.
const TAKE_BATCHES: usize = 16;
const TAKE_OCTETS: usize = 4 << 20;

/// Silence after which what is buffered is written, so that a reader of the pipe sees it.
const FLUSH: Duration = Duration::from_millis(200);

/// A file, a pipe, or stdout.
pub struct JsonLines {
    path: PathBuf,
    out: BufWriter<Box<dyn Write + Send>>,
}

/// The output cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "--flows {path}: {error}: name a file in a folder that exists and that this user may write, or - for stdout"
)]
pub struct Error {
    path: String,
    error: io::Error,
}

impl JsonLines {
    /// Opens the output; what was in the file is gone.
    ///
    /// # Errors
    /// The system does not open it for writing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let out: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            let failed = |error| Error { path: path.display().to_string(), error };
            Box::new(File::create(path).map_err(failed)?)
        };
        Ok(Self::to(path, out))
    }

    fn to(path: &Path, out: Box<dyn Write + Send>) -> Self {
        Self { path: path.to_path_buf(), out: BufWriter::with_capacity(BUFFER_OCTETS, out) }
    }

    /// Writes the rows of some batches through to the system.
    fn write(&mut self, batches: &[std::sync::Arc<Sealed>]) -> io::Result<()> {
        let mut lines = Vec::new();
        for sealed in batches.iter().filter(|sealed| sealed.header.kind == Kind::Flows) {
            let decoded = open(&sealed.header, &sealed.body).map_err(io::Error::other)?;
            for record in records(&decoded.batch).map_err(io::Error::other)? {
                line::write(&record, &mut lines);
            }
        }
        self.out.write_all(&lines)?;
        self.out.flush()
    }

    /// Counts everything that comes as not written, until the end.
    fn refuse_all(cursor: &Cursor) {
        loop {
            match cursor.next(TAKE_BATCHES, TAKE_OCTETS, FLUSH) {
                Next::Batches(batches) => refuse(cursor, &batches),
                Next::Nothing => {}
                Next::End => return,
            }
        }
    }
}

impl Sink for JsonLines {
    fn name(&self) -> String {
        format!("flows:{}", self.path.display())
    }

    /// A line is acknowledged once the system has taken it; nobody writes it twice.
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn run(mut self: Box<Self>, cursor: Cursor) {
        loop {
            let batches = match cursor.next(TAKE_BATCHES, TAKE_OCTETS, FLUSH) {
                Next::Batches(batches) => batches,
                Next::Nothing => continue,
                Next::End => return,
            };
            match self.write(&batches) {
                Ok(()) => cursor.acknowledge(batches.len()),
                // A full disk or a closed pipe does not mend itself, and half a line may be out: no second try.
                Err(error) => {
                    tracing::error!(path = %self.path.display(), %error, "flows cannot be written: none are from here on, each is counted as write_failed");
                    refuse(&cursor, &batches);
                    // What BufWriter still holds would be tried again when it is dropped.
                    std::mem::drop(self.out.into_parts());
                    return Self::refuse_all(&cursor);
                }
            }
        }
    }
}

fn refuse(cursor: &Cursor, batches: &[std::sync::Arc<Sealed>]) {
    for sealed in batches {
        cursor.discard(sealed.header.stamp, Discard::WriteFailed);
    }
}

#[cfg(test)]
mod tests;
