//! A small disk of its own for each party, so that it can be full.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A tmpfs; unmounted when dropped.
pub(crate) struct Disk {
    path: PathBuf,
    filler: Option<Filler>,
}

/// Somebody else who writes, and takes at once what anybody gives back.
struct Filler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Disk {
    /// Everybody may write there: a probe that gives up root does, too.
    pub(crate) fn mount(path: PathBuf, megabytes: u32) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let options = format!("mode=0777,size={megabytes}m");
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "gannet-chaos"]).arg(&path).status();
        assert!(done.is_ok_and(|status| status.success()), "cannot mount {}: it takes root", path.display());
        Self { path, filler: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room that is left, and what becomes free.
    pub(crate) fn fill(&mut self) {
        let mut file = File::create(self.path.join(FILLER)).unwrap();
        take_all(&mut file);
        let stop = Arc::<AtomicBool>::default();
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                take_all(&mut file);
                std::thread::park_timeout(EVERY);
            }
        });
        self.filler = Some(Filler { stop, thread });
    }

    /// Gives it back.
    pub(crate) fn free(&mut self) {
        let Some(Filler { stop, thread }) = self.filler.take() else { return };
        stop.store(true, Ordering::Relaxed);
        thread.thread().unpark();
        drop(thread.join());
        std::fs::remove_file(self.path.join(FILLER)).unwrap();
    }
}

const FILLER: &str = "filler";

/// Between two looks for room: few parties find it first.
const EVERY: Duration = Duration::from_millis(2);

fn take_all(file: &mut File) {
    /// As the filesystem counts.
    const PAGE: [u8; 4096] = [1; 4096];
    while file.write(&PAGE).is_ok_and(|written| written > 0) {}
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.free();
        // Lazily: a process that is being killed may still have a file open.
        drop(Command::new("umount").args(["--lazy", "--quiet"]).arg(&self.path).status());
    }
}
