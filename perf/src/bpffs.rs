//! A BPF file system of a test's own: what probes pin there ends with it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Unmounted when dropped.
#[derive(Debug)]
pub struct BpfFs(PathBuf);

impl BpfFs {
    /// Mounts one, on a directory that it makes.
    ///
    /// # Panics
    /// Without the right to mount.
    #[must_use]
    pub fn mount(path: PathBuf) -> Self {
        let made = std::fs::create_dir_all(&path);
        let done = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&path).status();
        let is_mounted = made.is_ok() && done.is_ok_and(|status| status.success());
        assert!(is_mounted, "no BPF file system at {}: it takes root", path.display());
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        // In use by a probe that still runs: then it goes with that.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}
