//! What the control thread does while the workers work.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use xsk::wait;

use super::conduct::Door;
use super::host::{self, HANG_UP, Signals};
use super::notify::Notify;
use super::reload::Reload;
use super::screen::Screen;
use crate::export;
use crate::telemetry::Board;

/// The control thread looks around this often at least.
const TICK: Duration = Duration::from_millis(200);

/// Workers and exporter of a live capture have new books every second. After this without any the watchdog is no longer
/// fed, and the service manager does what it was told to.
const SILENCE_MOST: Duration = Duration::from_secs(10);

/// Between two looks at what the host has changed: an address that came is reachable after this.
const TEND: Duration = Duration::from_secs(1);

/// Who is told how the run goes, and what is looked after.
pub(super) struct Watch<'a> {
    pub notify: Notify,
    pub screen: Screen,
    pub board: Board,
    pub doors: &'a mut [Box<dyn Door>],
    pub reload: Option<Reload<'a>>,
    /// Interfaces that are gone, each said once.
    pub gone: BTreeSet<String>,
}

impl Watch<'_> {
    /// Until a signal, the end of the input, or until no interface is left: `true` for that.
    pub(super) fn until_stopped(&mut self, exporter: &export::Handle, signals: &mut Signals) -> bool {
        let tick = self.notify.period().map_or(TICK, |period| period.min(TICK));
        let mut tended = Instant::now();
        loop {
            // An error would be EINVAL or ENOMEM; the tick goes on without it.
            let _ = wait::until_readable(&[signals.as_fd()], Some(tick));
            let mut signal = signals.take();
            if signal == Some(HANG_UP)
                && let Some(reload) = &mut self.reload
            {
                reload.apply(self.doors);
                signal = None;
            }
            if let Some(signal) = signal {
                tracing::info!("{signal}: draining");
            }
            if signal.is_some() || exporter.is_finished() {
                self.notify.stopping();
                return false;
            }
            if let Some(message) = self.board.get() {
                let status = self.screen.show(&message);
                self.notify.status(&status);
            }
            // Files are read as fast as their readers take flows: silence is no sign there.
            if self.doors.is_empty() || self.board.age() < SILENCE_MOST {
                self.notify.alive();
            }
            if tended.elapsed() >= TEND {
                tended = Instant::now();
                if self.is_deserted() {
                    let gone: Vec<_> = self.gone.iter().map(String::as_str).collect();
                    tracing::error!("no interface is left ({} gone): draining", gone.join(", "));
                    self.notify.stopping();
                    return true;
                }
            }
        }
    }

    /// Tends the doors. What cannot be looked after now may be the next time.
    fn is_deserted(&mut self) -> bool {
        let Ok(interfaces) = host::interfaces() else { return false };
        let mut left = self.doors.is_empty();
        for door in &mut *self.doors {
            match door.tend(&interfaces) {
                Ok(true) => left = true,
                Ok(false) if self.gone.insert(door.interface().to_owned()) => tracing::error!(
                    "{} is gone: nothing comes from it any more\n  mend: once it is there again, restart the probe",
                    door.interface()
                ),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!("{error}");
                    left = true;
                }
            }
        }
        !left
    }
}
