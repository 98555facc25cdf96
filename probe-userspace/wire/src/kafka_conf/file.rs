//! Files with settings, and files that settings name.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Error, is_secret, pair};

/// No list of settings, and no chain of certificates, is longer: a slip (a device, a capture) is not read to its end.
const OCTETS_MAX: u64 = 1 << 20;

/// Others must not read it, and nobody but its owner may write it. Its group may read: services share files that way.
const FORBIDDEN: u32 = 0o027;

/// Settings that name a PEM file, with those that take its content. The content is taken over at the start, while the
/// process may read it: the client connects later, and by then the probe is another user.
const FILES: [(&str, &str); 3] = [
    ("ssl.ca.location", "ssl.ca.pem"),
    ("ssl.certificate.location", "ssl.certificate.pem"),
    ("ssl.key.location", "ssl.key.pem"),
];

/// The settings of a file.
pub(super) fn pairs(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let unreadable = |source| Error::Unreadable { key: "@".to_owned(), path: path.to_owned(), source };
    let text = read(path).map_err(unreadable)?;
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cause = || Error::File { path: path.to_owned(), cause: format!("line {number} has no '='") };
        let (key, value) = pair(line).ok_or_else(cause)?;
        pairs.push((key, value.trim().to_owned()));
    }
    if let Some((key, _)) = pairs.iter().find(|(key, _)| is_secret(key)) {
        check_mode(path, key)?;
    }
    Ok(pairs)
}

/// A file that holds a secret is its owner's.
pub(super) fn check_mode(path: &Path, key: &str) -> Result<(), Error> {
    let unreadable = |source| Error::Unreadable { key: "@".to_owned(), path: path.to_owned(), source };
    let mode = path.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & FORBIDDEN == 0 {
        return Ok(());
    }
    Err(Error::Mode { path: path.to_owned(), key: key.to_owned(), mode })
}

/// Puts a file's content into the place of its name. A folder of certificates stays one.
pub(super) fn embed(pair: &mut (String, String)) -> Result<(), Error> {
    let Some((location, content)) = FILES.iter().find(|(location, _)| *location == pair.0) else {
        return Ok(());
    };
    let path = Path::new(&pair.1);
    // librdkafka's word for the system's own store.
    if pair.1 == "probe" || path.is_dir() {
        return Ok(());
    }
    let unreadable =
        |source| Error::Unreadable { key: format!("{location}="), path: path.to_owned(), source };
    let text = read(path).map_err(unreadable)?;
    if is_secret(content) {
        check_mode(path, location)?;
    }
    *pair = ((*content).to_owned(), text);
    Ok(())
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(OCTETS_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > OCTETS_MAX {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}
