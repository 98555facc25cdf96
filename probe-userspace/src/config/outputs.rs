//! No output may be an input, or another output: opening it for writing would empty it.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Config, Error, Input};
use crate::source::capture_file::STANDARD_INPUT;

/// Checks every file that is written against every other one that was named, before any of them is opened.
pub(super) fn check(config: &Config, config_file: Option<&Path>) -> Result<(), Error> {
    let mut known: Vec<(String, Place)> = Vec::new();
    let inputs = config.inputs.iter().filter_map(|input| match input {
        Input::File(path) if path != Path::new(STANDARD_INPUT) => Some(("-i", path.as_path())),
        _ => None,
    });
    let read = inputs.chain(config_file.map(|path| ("--config", path)));
    known.extend(
        read.filter_map(|(option, path)| Some((format!("{option} {}", path.display()), place(path)?))),
    );
    let written = [("--flows", &config.output.flows), ("--ledger", &config.output.ledger)];
    for (option, path) in written {
        let Some(path) = path else { continue };
        let Some(place) = place(path) else { continue };
        let second = format!("{option} {}", path.display());
        if let Some((first, _)) = known.iter().find(|(_, taken)| *taken == place) {
            return Err(Error::Contradiction {
                first: first.clone(),
                second,
                reason: "both are the same file, and writing it would destroy what the other one is for",
                mend: "name another file to write to",
            });
        }
        known.push((second, place));
    }
    Ok(())
}

/// What tells files apart whatever they are called.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Device and inode.
    There(u64, u64),
    /// Not made yet: the folder without links, and the name in it.
    Path(PathBuf),
    /// `-` of an output.
    StandardOutput,
}

/// `None` = nothing is lost there: a device such as /dev/null, or a folder that is missing, which opening will say.
fn place(path: &Path) -> Option<Place> {
    if path == Path::new("-") {
        return Some(Place::StandardOutput);
    }
    match path.metadata() {
        Ok(metadata) => (!is_device(&metadata)).then(|| Place::There(metadata.dev(), metadata.ino())),
        Err(_) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
            Some(Place::Path(folder.join(path.file_name()?)))
        }
    }
}

fn is_device(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device()
}
