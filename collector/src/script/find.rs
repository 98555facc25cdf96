//! Which scripts there are, by the names that ntopng's folders of periodic scripts have.

use std::path::{Path, PathBuf};

use super::schedule::Period;

/// Each is a process.
const SCRIPTS_MAX: usize = 32;

/// The longest source that is read.
const SOURCE_OCTETS_MAX: u64 = 1 << 20;

/// When it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the full second, minute, ..
    Every(Period),
    /// For each flow that was stored.
    Flow,
    /// Once: on the terminal.
    Once,
}

impl When {
    /// By the name of a folder, or of a file without its ending.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "second" => Self::Every(Period::Second),
            "minute" => Self::Every(Period::Minute),
            "5mins" | "5min" => Self::Every(Period::FiveMinutes),
            "hourly" | "hour" => Self::Every(Period::Hour),
            "daily" | "day" => Self::Every(Period::Day),
            "flow" => Self::Flow,
            _ => return None,
        })
    }

    pub(super) fn sentence(self) -> String {
        match self {
            Self::Every(period) => format!("runs every {} s", period.seconds()),
            Self::Flow => "gets each stored flow".to_owned(),
            Self::Once => "runs once".to_owned(),
        }
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its path in the directory: `minute/export.lua`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// When it runs.
    pub when: When,
}

/// What is wrong with the directory, or a file in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not there, or closed to us.
    #[error("--scripts-dir {}: {source}; give a directory that this user may read", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Each is a process.
    #[error("--scripts-dir {} has {count} scripts: {SCRIPTS_MAX} at most, let one do what several do", path.display())]
    TooMany {
        /// Which.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// A script.
    #[error("script {}: {cause}", path.display())]
    Source {
        /// Which.
        path: PathBuf,
        /// Why it cannot be read.
        cause: String,
    },
}

/// All of a directory, in the order of their names.
pub(super) fn scripts(directory: &Path) -> Result<Vec<Script>, Error> {
    let mut found = Vec::new();
    for path in entries(directory)? {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let Some(when) = When::named(stem) else { continue };
        let files = if path.is_dir() { entries(&path)? } else { vec![path.clone()] };
        for file in files.into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "lua")) {
            let name = file.strip_prefix(directory).unwrap_or(&file).display().to_string();
            found.push(Script { name, path: file, when });
        }
    }
    match found.len() {
        count if count > SCRIPTS_MAX => Err(Error::TooMany { path: directory.to_owned(), count }),
        _ => Ok(found),
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let error = |source| Error::Directory { path: directory.to_owned(), source };
    let listed = std::fs::read_dir(directory).map_err(error)?;
    let mut paths =
        listed.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(error)?;
    paths.sort();
    Ok(paths)
}

/// The text of a file.
///
/// # Errors
/// It is not there, too long, or no text.
pub fn source(path: &Path) -> Result<String, Error> {
    let error = |cause: String| Error::Source { path: path.to_owned(), cause };
    let length = std::fs::metadata(path).map_err(|cause| error(cause.to_string()))?.len();
    if length > SOURCE_OCTETS_MAX {
        return Err(error(format!("{length} octets are more than {SOURCE_OCTETS_MAX}; cut it into modules")));
    }
    std::fs::read_to_string(path)
        .map_err(|cause| error(format!("{cause}; it must be readable text in UTF-8")))
}

/// A module of a directory, by the name that `require` has: letters, digits, `_`, `-`, and dots between folders.
pub(super) fn module(directory: &Path, name: &str) -> Result<Option<String>, Error> {
    let sound = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    if !name.split('.').all(sound) {
        return Ok(None);
    }
    let file = format!("{}.lua", name.replace('.', "/"));
    let places = [directory.join("modules").join(&file), directory.join(&file)];
    places.iter().find(|path| path.is_file()).map(|path| source(path)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_of_ntopng_s_names_are_scripts_and_others_are_modules() {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("-- {name}")).unwrap();
        };
        [
            "minute.lua",
            "minute/b.lua",
            "minute/a.lua",
            "minute/readme.txt",
            "5mins.lua",
            "daily/x.lua",
            "flow/f.lua",
        ]
        .into_iter()
        .chain(["names.lua", "modules/deep/er.lua", "modules/names.lua"])
        .for_each(make);
        let found = scripts(directory.path()).unwrap();
        let shown: Vec<_> = found.iter().map(|script| (script.name.as_str(), script.when)).collect();
        let every = When::Every;
        assert_eq!(
            shown,
            [
                ("5mins.lua", every(Period::FiveMinutes)),
                ("daily/x.lua", every(Period::Day)),
                ("flow/f.lua", When::Flow),
                ("minute/a.lua", every(Period::Minute)),
                ("minute/b.lua", every(Period::Minute)),
                ("minute.lua", every(Period::Minute)),
            ]
        );
        let read = |name| module(directory.path(), name).unwrap();
        assert_eq!(read("names").as_deref(), Some("-- modules/names.lua"));
        assert_eq!(read("deep.er").as_deref(), Some("-- modules/deep/er.lua"));
        for outside in ["..names", "../names", "/etc/passwd", "", "a..b", "nowhere"] {
            assert_eq!(read(outside), None, "{outside}");
        }
        assert!(matches!(scripts(&directory.path().join("no")), Err(Error::Directory { .. })));
        (0..SCRIPTS_MAX).for_each(|number| make(&format!("second/{number}.lua")));
        assert!(matches!(scripts(directory.path()), Err(Error::TooMany { count: 38, .. })));
    }
}
