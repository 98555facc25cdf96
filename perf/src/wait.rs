//! Waiting for something that another process or the kernel does: polled, bounded, named. Never a bare sleep.

use std::time::{Duration, Instant};

/// How often a condition is looked at: far below anything a test measures, far above the cost of asking.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// It did not happen in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} in vain until {description}")]
pub struct TimedOut {
    /// What was waited for.
    pub description: String,
    /// For how long.
    pub waited: Duration,
}

/// Asks `condition` until it answers with a value, at least once.
pub fn wait_for<T>(
    description: &str,
    timeout: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T, TimedOut> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if start.elapsed() >= timeout {
            return Err(TimedOut { description: description.to_owned(), waited: start.elapsed() });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Asks `condition` until it is true, at least once.
pub fn wait_until(
    description: &str,
    timeout: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<(), TimedOut> {
    wait_for(description, timeout, || condition().then_some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_never_holds_times_out_with_its_name() {
        let error = wait_until("pigs fly", Duration::from_millis(30), || false).unwrap_err();
        assert!(error.to_string().contains("pigs fly"), "{error}");
    }

    #[test]
    fn a_condition_is_asked_again_until_it_holds() {
        let mut asked = 0;
        let value = wait_for("the third answer", Duration::from_secs(5), || {
            asked += 1;
            (asked == 3).then_some("third")
        });
        assert_eq!(value.unwrap(), "third");
    }
}
