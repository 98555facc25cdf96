//! What the service manager is told (sd_notify(3)); without one every call is a no-op.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Tells the service manager how the run goes.
pub struct Notify {
    watchdog: Option<Duration>,
    fed: Instant,
    status: String,
}

impl Notify {
    /// Reads what the service manager asks for.
    pub fn from_environment() -> Self {
        let mut microseconds = 0;
        let asked = sd_notify::watchdog_enabled(false, &mut microseconds);
        // Half of the interval, as sd_watchdog_enabled(3) recommends.
        let watchdog = asked.then(|| Duration::from_micros(microseconds / 2));
        Self { watchdog, fed: Instant::now(), status: String::new() }
    }

    /// Everything is open, and packets are metered.
    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Draining.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    /// What `systemctl status` shows.
    pub fn status(&mut self, status: &str) {
        if self.status != status {
            status.clone_into(&mut self.status);
            tell(&[NotifyState::Status(status)]);
        }
    }

    /// All goes well.
    pub fn alive(&mut self) {
        if self.watchdog.is_some_and(|every| self.fed.elapsed() >= every) {
            self.fed = Instant::now();
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// How often [`Notify::alive`] has to be called at least.
    pub fn period(&self) -> Option<Duration> {
        self.watchdog
    }
}

/// A service manager that does not listen is its own problem: the capture goes on.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(false, states);
}
