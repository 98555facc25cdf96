//! Metering capture files: one worker, one file after the other, time as the packets tell it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flow_wire::ledger::{Message, QueueTerms};

use super::Error;
use super::conduct::Stage;
use super::control::Stop;
use crate::books;
use crate::export::{Books, Sink};
use crate::source::capture_file::CaptureFile;
use crate::source::filtered::Filtered;
use crate::source::xdp::CaptureFilter;
use crate::source::{self, Frame, ObservationPoint, Source, State};
use crate::telemetry::Board;
use crate::worker::{Clock, Cut, Handover};

/// Opens all files.
pub(super) fn stage(
    paths: &[&Path],
    filter: &CaptureFilter,
    sinks: Vec<Box<dyn Sink>>,
    board: &Board,
    stop: &Stop,
) -> Result<Stage, Error> {
    let mut sources: Vec<Box<dyn Source>> = Vec::with_capacity(paths.len());
    for path in paths {
        let file = UntilStopped { file: CaptureFile::open(path)?, stop: stop.clone() };
        sources.push(Filtered::boxed(file, filter));
    }
    Ok(Stage {
        sources: vec![sources],
        cores: vec![None],
        handovers: Handover::mesh(1).map_err(Error::Handover)?,
        doors: Vec::new(),
        books: Box::new(FileBooks { board: board.clone() }),
        sinks,
        clock: Clock::OfPackets,
    })
}

/// A file knows all of its terms itself.
struct FileBooks {
    board: Board,
}

impl Books for FileBooks {
    fn queues(&mut self, cuts: &[Cut]) -> Vec<QueueTerms> {
        books::merge(cuts.iter().flat_map(|cut| cut.sources.iter().cloned()))
    }

    fn publish(&mut self, message: &Arc<Message>) {
        self.board.put(message.clone());
    }
}

/// A file that ends early when the run is stopped. What was not read was not seen.
struct UntilStopped {
    file: CaptureFile,
    stop: Stop,
}

impl Source for UntilStopped {
    fn observation_point(&self) -> &ObservationPoint {
        self.file.observation_point()
    }

    fn receive(
        &mut self,
        now_nanoseconds: u64,
        lend: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<State, source::Error> {
        match self.stop.is_ordered() {
            true => Ok(State::Ended),
            false => self.file.receive(now_nanoseconds, lend),
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), source::Error> {
        self.file.wait(timeout)
    }

    fn terms(&mut self) -> Result<QueueTerms, source::Error> {
        self.file.terms()
    }

    fn notice(&self) -> Option<String> {
        self.file.notice()
    }
}
