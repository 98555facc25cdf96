//! Where our binaries are: beside the test that asks.

use std::path::PathBuf;

/// A binary that is not there.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not in {folder}: build it first with `cargo build --workspace`", folder = .folder.display())]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Where it was looked for.
    pub folder: PathBuf,
}

/// The path of one of our binaries. Tests lie in `target/<profile>/deps`, examples in `examples`, binaries one folder up.
///
/// # Errors
/// When it is not built.
pub fn path(name: &str) -> Result<PathBuf, Missing> {
    let mut folder = std::env::current_exe().unwrap_or_default();
    folder.pop();
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.pop();
    }
    let path = folder.join(name);
    if path.is_file() { Ok(path) } else { Err(Missing { name: name.to_owned(), folder }) }
}
