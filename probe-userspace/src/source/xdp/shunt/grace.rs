//! When no program uses any more what was taken out: asked for by number, waited for by a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;

/// Numbers only grow: one wait answers all that were asked for before it began.
#[derive(Debug, Default)]
struct Numbers {
    asked: AtomicU64,
    over: AtomicU64,
}

/// The workers' side of it. The thread ends with the last of them: it is woken behind the end of the numbers, as the fields stand.
#[derive(Clone, Debug)]
pub(crate) struct Grace {
    numbers: Arc<Numbers>,
    sleeper: Sleeper,
}

#[derive(Clone, Debug)]
struct Sleeper(Thread);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.unpark();
    }
}

impl Grace {
    /// `wait` returns once every program that runs when it is called has ended.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) fn start(mut wait: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let numbers = Arc::<Numbers>::default();
        let shared = Arc::clone(&numbers);
        let body = move || {
            while Arc::strong_count(&shared) > 1 {
                let asked = shared.asked.load(Ordering::Acquire);
                if asked == shared.over.load(Ordering::Relaxed) {
                    std::thread::park();
                    continue;
                }
                wait();
                shared.over.store(asked, Ordering::Release);
            }
        };
        let thread = std::thread::Builder::new().name("shunt".into()).spawn(body)?.thread().clone();
        Ok(Self { numbers, sleeper: Sleeper(thread) })
    }

    /// One that is over when the test says so.
    #[cfg(test)]
    pub(crate) fn by_hand() -> Self {
        Self { numbers: Arc::default(), sleeper: Sleeper(std::thread::current()) }
    }

    /// All that was asked for is over.
    #[cfg(test)]
    pub(crate) fn end(&self) {
        self.numbers.over.store(self.numbers.asked.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// What the caller has stored is waited for under this number.
    pub(crate) fn ask(&self) -> u64 {
        let number = self.numbers.asked.fetch_add(1, Ordering::Release) + 1;
        self.sleeper.0.unpark();
        number
    }

    pub(crate) fn is_over(&self, number: u64) -> bool {
        self.numbers.over.load(Ordering::Acquire) >= number
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_is_asked_for_while_another_wait_goes_on_is_waited_for_anew() {
        let (begun, begins) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let grace = Grace::start(move || {
            begun.send(()).unwrap();
            ends.recv().unwrap();
        })
        .unwrap();
        let until = |number| {
            let most = Instant::now() + Duration::from_secs(20);
            while !grace.is_over(number) && Instant::now() < most {
                std::thread::yield_now();
            }
            grace.is_over(number)
        };
        let first = grace.ask();
        begins.recv().unwrap();
        let second = grace.ask();
        end.send(()).unwrap();
        assert!(until(first));
        begins.recv().unwrap();
        assert!(!grace.is_over(second), "the first wait began before it was asked for");
        end.send(()).unwrap();
        assert!(until(second));
    }
}
