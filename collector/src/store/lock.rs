//! One process holds a store. Its lock file says which, so that whoever comes second can name it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::Error;

/// Longest text that is read from a lock file: a process id and an address fit many times.
const HOLDER_OCTETS_MAX: u64 = 512;

/// Held while it lives. The kernel gives it up when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes `DIRECTORY/lock` (flock(2)) and writes into it who holds it and where it listens.
    pub fn take(directory: &Path, http: Option<&str>) -> Result<Self, Error> {
        let path = directory.join("lock");
        let failed = |source: std::io::Error| Error::Directory { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Held { path: directory.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let listens = http.map_or_else(String::new, |http| format!(", --http {http}"));
        file.set_len(0).map_err(failed)?;
        file.write_all(format!("process {}{listens}", std::process::id()).as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(HOLDER_OCTETS_MAX).read_to_string(&mut text));
    if read.is_err() || text.is_empty() { "another process".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path(), Some("127.0.0.1:3000")).unwrap();
        let told = Lock::take(directory.path(), None).unwrap_err().to_string();
        assert!(told.contains(&format!("process {}, --http 127.0.0.1:3000", std::process::id())), "{told}");
        drop(first);
        assert!(Lock::take(directory.path(), None).is_ok());
    }
}
