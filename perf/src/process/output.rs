//! A thread that empties a child's pipe, so that the child never blocks on it and the test can look at any time.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// What a pipe carried so far.
#[derive(Debug)]
pub(super) struct Listener {
    text: Arc<Mutex<Text>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    /// How much there was when: after each read.
    arrivals: Vec<(usize, Instant)>,
}

impl Listener {
    /// Starts to listen; `None` is a pipe that nobody opened.
    pub(super) fn start(pipe: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::<Mutex<Text>>::default();
        let thread = pipe.map(|pipe| {
            let text = Arc::clone(&text);
            std::thread::spawn(move || empty(pipe, &text))
        });
        Self { text, thread }
    }

    /// All that came so far.
    pub(super) fn so_far(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text.bytes).into_owned()
    }

    /// When the first of these words had come.
    pub(super) fn came_at(&self, words: &str) -> Option<Instant> {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let end = text.bytes.windows(words.len()).position(|some| some == words.as_bytes())? + words.len();
        text.arrivals.iter().find(|(count, _)| *count >= end).map(|(_, when)| *when)
    }

    /// All of it, once the pipe is closed.
    pub(super) fn read_to_end(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            // It panics only if the allocator does.
            drop(thread.join());
        }
        self.so_far()
    }
}

fn empty(mut pipe: impl Read, text: &Mutex<Text>) {
    /// One pipe's worth (pipe(7)).
    const CHUNK_BYTES: usize = 65_536;
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = pipe.read(&mut chunk) {
        let now = Instant::now();
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        text.bytes.extend_from_slice(&chunk[..count]);
        let end = text.bytes.len();
        text.arrivals.push((end, now));
    }
}
