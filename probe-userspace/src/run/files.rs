//! Metering capture files: one worker, one file after the other, time as the packets tell it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flow_wire::ledger::{Message, QueueTerms};

use super::Error;
use super::conduct::Stage;
use super::control::Stop;
use super::crew::Post;
use super::host::Signals;
use super::pins::Pins;
use crate::books;
use crate::config::Capture;
use crate::export::{Books, Sink};
use crate::source::Source;
use crate::source::bpf::Expression;
use crate::source::capture_file::{self, CaptureFile, STANDARD_INPUT};
use crate::source::filtered::Filtered;
use crate::spool::Statistics;
use crate::telemetry::Board;
use crate::worker::{Clock, Cut, Handover, Wait};

/// A pipe without octets is looked at this often for whether the run is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Opens all files.
pub(super) fn stage(
    paths: &[&Path],
    capture: &Capture,
    sinks: Vec<Box<dyn Sink>>,
    board: &Board,
    (stop, signals): (&Stop, &Signals),
) -> Result<Stage, Error> {
    let mut sources: Vec<Box<dyn Source>> = Vec::with_capacity(paths.len());
    for path in paths {
        let file = open(path, stop, signals)?;
        let file = match &capture.expression {
            Some(expression) => file.selecting(expression)?,
            None => file,
        };
        sources.push(Filtered::boxed(file, &capture.filter));
    }
    let mut mesh = Handover::mesh(1).map_err(Error::Handover)?;
    let posts = mesh.pop().map(|handover| Post { sources, core: None, handover }).into_iter().collect();
    Ok(Stage {
        posts,
        doors: Vec::new(),
        books: Box::new(FileBooks { board: board.clone() }),
        sinks,
        spool: None,
        pins: Pins::default(),
        ring_slots: 0,
        clock: Clock::OfPackets,
        wait: Wait::Poll,
        shunt: None,
    })
}

/// Whether an expression suits the files; what waits in a pipe is left there.
pub(super) fn check<'a>(
    paths: impl Iterator<Item = &'a Path>,
    expression: Option<&Expression>,
) -> Result<(), Error> {
    let Some(expression) = expression else { return Ok(()) };
    for path in paths.filter(|path| path.is_file()) {
        CaptureFile::open(path)?.selecting(expression)?;
    }
    Ok(())
}

fn open(path: &Path, stop: &Stop, signals: &Signals) -> Result<CaptureFile, Error> {
    let name = path.display().to_string();
    let file = match path == Path::new(STANDARD_INPUT) {
        true => std::io::stdin().as_fd().try_clone_to_owned().map(File::from),
        // A pipe that nobody has opened for writing yet is waited for by poll, which a signal can end, and not by open.
        false => File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path),
    };
    let file = file.map_err(|error| capture_file::Error::Open { path: path.to_path_buf(), error })?;
    let signals = signals.as_fd().try_clone_to_owned().map_err(Error::Signals)?;
    Ok(CaptureFile::new(name, Box::new(Patient { file, stop: stop.clone(), signals }))?)
}

/// Reads a file, and ends where a pipe has nothing more when the run is stopped: a read that nobody writes for would
/// never return.
struct Patient {
    file: File,
    stop: Stop,
    /// Before the run has begun nobody takes signals and orders a stop.
    signals: OwnedFd,
}

impl Patient {
    fn is_over(&self) -> io::Result<bool> {
        Ok(self.stop.is_ordered()
            || xsk::wait::until_readable(&[self.signals.as_fd()], Some(Duration::ZERO))?)
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if xsk::wait::until_readable(&[self.file.as_fd()], Some(LOOK))? {
                match self.file.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            } else if self.is_over()? {
                return Ok(0);
            }
        }
    }
}

/// A file knows all of its terms itself.
struct FileBooks {
    board: Board,
}

impl Books for FileBooks {
    fn queues(&mut self, cuts: &[Cut]) -> Vec<QueueTerms> {
        books::merge(cuts.iter().flat_map(|cut| cut.sources.iter().cloned()))
    }

    fn publish(&mut self, message: &Arc<Message>, spool: Option<Statistics>) {
        self.board.put(message.clone(), spool);
    }
}
