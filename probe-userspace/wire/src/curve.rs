//! CURVE keys of ZMQ in files, as ntop has them: `zmq-key.pub` and `zmq-key.priv`, 40 characters of Z85 each.
//!
//! A key is text of 8 x 5 characters; five characters are four octets to the base 85 (ZeroMQ RFC 32/Z85). A secret key is
//! readable by its owner alone, and stands in no command line, log or error.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Stem of the probe's key files: ntop's name.
pub const PROBE_STEM: &str = "zmq-key";

/// Stem of the collector's: both may live in one directory, as different users.
pub const COLLECTOR_STEM: &str = "zmq-collector-key";

/// Characters of a key.
pub const KEY_CHARACTERS: usize = 40;

/// Octets of a file of keys that are read: some thousand keys with a word about each.
const FILE_OCTETS_MAX: u64 = 256 << 10;

/// Rights of others on a secret key.
const OF_OTHERS: u32 = 0o077;

/// In the order of their values.
const ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// A public key, as text. What is not is never made.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

/// A secret key: like [`Key`], but nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Key);

/// Both keys of one party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// For the other side.
    pub public: Key,
    /// For nobody.
    pub secret: Secret,
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Another length.
    #[error("it has {0} characters instead of {KEY_CHARACTERS}")]
    Length(usize),
    /// A character that Z85 does not have, or five that are beyond four octets.
    #[error("characters {0} to {1} are no Z85")]
    Characters(usize, usize),
}

/// Keys that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("key file {path}: {error}{mend}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
        /// What to do.
        mend: &'static str,
    },
    /// Others may read it.
    #[error("key file {path} has the rights {mode:04o}: others can read the secret key; chmod 600 {path}")]
    Rights {
        /// Which.
        path: PathBuf,
        /// Its rights.
        mode: u32,
    },
    /// No key is in it.
    #[error(
        "key file {path}, line {line}: {malformed}; a key is 40 characters of Z85, as in the zmq-key.pub of the other side"
    )]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        malformed: Malformed,
    },
    /// Nothing is in it.
    #[error("key file {path} has no key: write one of 40 characters of Z85 into it")]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// One of two files is missing.
    #[error(
        "key file {there} is there and {missing} is not: put it back, or remove both to have new ones made"
    )]
    Half {
        /// This one is there.
        there: PathBuf,
        /// This one is not.
        missing: PathBuf,
    },
    /// libzmq made none.
    #[error(
        "libzmq cannot make keys: {0}; it was built without CURVE: install one that has it (Debian: libzmq5)"
    )]
    NoCurve(String),
}

impl FromStr for Key {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.len() != KEY_CHARACTERS {
            return Err(Malformed::Length(text.chars().count()));
        }
        for (index, five) in text.as_bytes().chunks(5).enumerate() {
            let digit = |octet: &u8| ALPHABET.iter().position(|known| known == octet);
            let value = five.iter().try_fold(0_u64, |sum, octet| Some(sum * 85 + digit(octet)? as u64));
            if value.is_none_or(|value| value > u64::from(u32::MAX)) {
                return Err(Malformed::Characters(index * 5 + 1, index * 5 + 5));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl Key {
    /// As libzmq takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Secret {
    /// As libzmq takes it; not for anything else.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

/// Public and secret key as text, or why there are none: what libzmq makes.
pub type Made = Result<(String, String), String>;

impl Pair {
    /// The pair whose secret key lies in this file, the public one beside it with `.pub` for `.priv`.
    ///
    /// # Errors
    /// A file cannot be read, others may read the secret one, or it holds no key.
    pub fn read(secret: &Path) -> Result<Self, Error> {
        let public = public_beside(secret);
        Ok(Self { secret: Secret(read_secret(secret)?), public: read_one(&public)? })
    }

    /// One that is kept nowhere.
    ///
    /// # Errors
    /// There is no CURVE.
    pub fn of_this_run(make: impl FnOnce() -> Made) -> Result<Self, Error> {
        let (public, secret) = make().map_err(Error::NoCurve)?;
        let key =
            |text: String| text.parse().map_err(|malformed: Malformed| Error::NoCurve(malformed.to_string()));
        Ok(Self { public: key(public)?, secret: Secret(key(secret)?) })
    }

    /// The pair of a directory; where it has none it is made there, readable by its owner alone. Says whether it was.
    ///
    /// # Errors
    /// As [`Pair::read`]; or the directory cannot be written, or there is no CURVE.
    pub fn in_directory(
        directory: &Path,
        stem: &str,
        make: impl FnOnce() -> Made,
    ) -> Result<(Self, bool), Error> {
        let secret = directory.join(stem).with_extension("priv");
        let public = public_beside(&secret);
        match (public.exists(), secret.exists()) {
            (true, true) => return Ok((Self::read(&secret)?, false)),
            // The secret one is written last: alone, the public one is what a stop in between left.
            (_, false) => {}
            (false, true) => return Err(Error::Half { there: secret, missing: public }),
        }
        let (public_text, secret_text) = make().map_err(Error::NoCurve)?;
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed(directory))?;
        write(&public, &public_text, 0o644)?;
        write(&secret, &secret_text, 0o600)?;
        Ok((Self::read(&secret)?, true))
    }
}

/// Where the public key of this secret one lies.
pub fn public_beside(secret: &Path) -> PathBuf {
    secret.with_extension("pub")
}

/// The lines of a file of public keys: without comments (`#`) and empty ones, with their numbers.
///
/// # Errors
/// It cannot be read.
pub fn lines(path: &Path) -> Result<Vec<(usize, String)>, Error> {
    let lines = read(path)?;
    let lines = (1..).zip(lines.lines()).map(|(number, line)| (number, comment_off(line).trim().to_owned()));
    Ok(lines.filter(|(_, line)| !line.is_empty()).collect())
}

/// A key of such a line; what is behind it is a word for people.
///
/// # Errors
/// It is none.
pub fn key(path: &Path, line: usize, text: &str) -> Result<Key, Error> {
    text.parse().map_err(|malformed| Error::Malformed { path: path.to_owned(), line, malformed })
}

/// The keys of a file, one a line.
///
/// # Errors
/// It cannot be read, or holds something else, or nothing.
pub fn keys(path: &Path) -> Result<Vec<Key>, Error> {
    let keys: Vec<Key> =
        lines(path)?.iter().map(|(number, line)| key(path, *number, line)).collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(keys) }
}

/// `#` is a character of Z85: a comment begins a line, or has a space before it.
fn comment_off(line: &str) -> &str {
    if line.starts_with('#') && line.trim().len() != KEY_CHARACTERS {
        return "";
    }
    line.split_once(" #").map_or(line, |(before, _)| before)
}

fn read_secret(path: &Path) -> Result<Key, Error> {
    let mode = path.metadata().map_err(failed(path))?.permissions().mode() & 0o7777;
    if mode & OF_OTHERS != 0 {
        return Err(Error::Rights { path: path.to_owned(), mode });
    }
    read_one(path)
}

fn read_one(path: &Path) -> Result<Key, Error> {
    let text = read(path)?;
    match text.trim() {
        "" => Err(Error::Empty { path: path.to_owned() }),
        text => key(path, 1, text),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let file = File::open(path).map_err(failed(path))?;
    file.take(FILE_OCTETS_MAX).read_to_string(&mut text).map_err(failed(path))?;
    Ok(text)
}

/// Whole and with its rights from the first moment: made under another name, and renamed.
fn write(path: &Path, key: &str, mode: u32) -> Result<(), Error> {
    let new = path.with_extension("new");
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(format!("{key}\n").as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    })();
    written.map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |error| {
        let mend = match error.kind() {
            ErrorKind::PermissionDenied => "; give it to the user that starts this program",
            ErrorKind::NotFound => "; name a file that is there",
            _ => "",
        };
        Error::File { path: path.clone(), error, mend }
    }
}

#[cfg(test)]
mod tests;
