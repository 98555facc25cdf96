//! A thread that empties a child's pipe, so that the child never blocks on it and the test can look at any time.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a pipe carried so far.
#[derive(Debug)]
pub(super) struct Listener {
    text: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Starts to listen; `None` is a pipe that nobody opened.
    pub(super) fn start(pipe: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let thread = pipe.map(|pipe| {
            let text = Arc::clone(&text);
            std::thread::spawn(move || empty(pipe, &text))
        });
        Self { text, thread }
    }

    /// All that came so far.
    pub(super) fn so_far(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
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

fn empty(mut pipe: impl Read, text: &Mutex<Vec<u8>>) {
    /// One pipe's worth (pipe(7)).
    const CHUNK_BYTES: usize = 65_536;
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = pipe.read(&mut chunk) {
        text.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..count]);
    }
}
