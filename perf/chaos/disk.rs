//! A small disk of its own for each party, so that it can be full.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs; unmounted when dropped.
pub(crate) struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Everybody may write there: a probe that gives up root does, too.
    pub(crate) fn mount(path: PathBuf, megabytes: u32) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let options = format!("mode=0777,size={megabytes}m");
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "gannet-chaos"]).arg(&path).status();
        assert!(done.is_ok_and(|status| status.success()), "cannot mount {}: it takes root", path.display());
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        /// As the filesystem counts.
        const PAGE: [u8; 4096] = [1; 4096];
        let mut file = File::create(self.filler()).unwrap();
        while file.write(&PAGE).is_ok_and(|written| written > 0) {}
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        // Not there where it was never filled.
        drop(std::fs::remove_file(self.filler()));
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still have a file open.
        drop(Command::new("umount").args(["--lazy", "--quiet"]).arg(&self.path).status());
    }
}
