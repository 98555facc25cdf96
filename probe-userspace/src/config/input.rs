//! What `-i` names: an interface that is there, else a capture file.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::run::host::Interface;
use crate::source::capture_file::STANDARD_INPUT;

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A network interface.
    Interface(Interface),
    /// A capture file.
    File(PathBuf),
}

impl Input {
    /// As it was named.
    pub fn name(&self) -> String {
        match self {
            Self::Interface(interface) => interface.name.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The interface that it is.
    pub fn interface(&self) -> Option<&Interface> {
        match self {
            Self::Interface(interface) => Some(interface),
            Self::File(_) => None,
        }
    }

    /// Whether both are one place, whatever they are called: its packets would be counted twice.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other || is_same_file(one, other),
            _ => self == other,
        }
    }
}

/// Resolves every name. An interface wins over a file of the same name in the working directory: `./eno1` is the file.
pub(super) fn resolve(names: &[String], interfaces: &[Interface]) -> Result<Vec<Input>, Error> {
    if names.is_empty() {
        return Err(Error::NoInput { interfaces: list(interfaces) });
    }
    let mut inputs = Vec::with_capacity(names.len());
    for name in names {
        let input = one(name, interfaces)?;
        if inputs.iter().any(|other: &Input| other.is_same(&input)) {
            return Err(Error::InputTwice { name: name.clone() });
        }
        inputs.push(input);
    }
    check_kinds(&inputs)?;
    Ok(inputs)
}

/// By device and inode.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    place(one).is_some_and(|at| place(other) == Some(at))
}

fn check_kinds(inputs: &[Input]) -> Result<(), Error> {
    let file = inputs.iter().find(|input| matches!(input, Input::File(_)));
    let interface = inputs.iter().find(|input| matches!(input, Input::Interface(_)));
    match (file, interface) {
        (Some(file), Some(interface)) => {
            Err(Error::FileAndInterface { file: file.name(), interface: interface.name() })
        }
        _ => Ok(()),
    }
}

fn one(name: &str, interfaces: &[Interface]) -> Result<Input, Error> {
    if let Some(interface) = interfaces.iter().find(|interface| interface.name == name) {
        return Ok(Input::Interface(interface.clone()));
    }
    // A pipe is as good as a file, standard input too.
    let path = Path::new(name);
    if name == STANDARD_INPUT || (path.exists() && !path.is_dir()) {
        return Ok(Input::File(path.to_path_buf()));
    }
    if path.is_dir() {
        return Err(Error::Directory { name: name.to_string() });
    }
    Err(Error::NoSuchInput { name: name.to_string(), interfaces: list(interfaces) })
}

fn list(interfaces: &[Interface]) -> String {
    let names: Vec<_> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}
