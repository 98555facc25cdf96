//! Who this probe is, and which start of it this is.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flow_wire::stamp::{Epoch, ProbeId};
use uuid::Uuid;

/// Name of the file in the state directory that holds the probe's UUID.
const FILE: &str = "probe-id";

/// Why the probe has no identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state directory does not work.
    #[error("--state-dir {}: {error}\n  mend: make it writable, name another one, or give --probe-id UUID", path.display())]
    State {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file holds something else.
    #[error("{}: holds {text:?}, not a UUID\n  mend: remove it (a new identity is made) or put the UUID back", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
}

/// The probe: as asked for, else as kept in `state_dir`, else made and kept there.
///
/// Where nothing is sent to a bus (`kept` is false) no collector will ever ask who it was, and a fresh identity will do
/// without a directory.
pub fn probe_id(asked: Option<Uuid>, state_dir: &Path, kept: bool) -> Result<ProbeId, Error> {
    match asked {
        Some(uuid) => Ok(ProbeId(uuid)),
        None if !kept => Ok(ProbeId(Uuid::new_v4())),
        None => kept_in(state_dir),
    }
}

/// This start: 128 random bits.
pub fn epoch() -> Epoch {
    Epoch(Uuid::new_v4())
}

fn kept_in(state_dir: &Path) -> Result<ProbeId, Error> {
    let path = state_dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(uuid) => Ok(ProbeId(uuid)),
            Err(_) => Err(Error::Content { path, text }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make(state_dir, &path).map_err(|error| Error::State { path, error })
        }
        Err(error) => Err(Error::State { path, error }),
    }
}

/// Written beside, synced, then renamed: a crash leaves either no identity or a whole one.
fn make(state_dir: &Path, path: &Path) -> std::io::Result<ProbeId> {
    fs::create_dir_all(state_dir)?;
    let uuid = Uuid::new_v4();
    let beside = state_dir.join(format!("{FILE}.{}", std::process::id()));
    let mut file = fs::File::create(&beside)?;
    writeln!(file, "{uuid}")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // Without its name it is lost with the power, and the spool would be another probe's. Not every file system has such a call.
    match fs::File::open(state_dir)?.sync_all() {
        Err(error) if error.kind() != std::io::ErrorKind::InvalidInput => return Err(error),
        _ => {}
    }
    Ok(ProbeId(uuid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let first = probe_id(None, &state, true).unwrap();
        assert_eq!(probe_id(None, &state, true).unwrap(), first);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn what_was_asked_for_wins_and_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let asked = Uuid::new_v4();
        assert_eq!(probe_id(Some(asked), directory.path(), true).unwrap(), ProbeId(asked));
        probe_id(None, directory.path(), false).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_broken_identity_is_refused_rather_than_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "seven").unwrap();
        let message = probe_id(None, directory.path(), true).unwrap_err().to_string();
        assert!(message.contains("seven") && message.contains("mend"), "{message}");
    }
}
