//! CPU time and placement of threads, by /proc.
//!
//! Times are the scheduler's own sum (proc_pid_schedstat: the first number), which it brings up to date each tick: some
//! milliseconds may be missing of a thread that runs at the moment.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The NAPI threads of a device: name and thread id. None where its NAPI is not threaded.
///
/// The kernel names them `napi/DEVICE-ID` (net/core/dev.c, `napi_kthread_create`), whatever the namespace of the device:
/// a device that is to be measured needs a name that no other has.
#[must_use]
pub fn napi_of(interface: &str) -> Vec<(String, u32)> {
    let prefix = format!("napi/{interface}-");
    let mut found: Vec<_> = numbers(Path::new("/proc"))
        .filter_map(|thread| Some((name(&PathBuf::from(format!("/proc/{thread}")))?, thread)))
        .filter(|(name, _)| name.starts_with(&prefix))
        .collect();
    found.sort();
    found
}

/// CPU time of a thread; `None` = it is gone.
#[must_use]
pub fn cpu_time(thread: u32) -> Option<Duration> {
    schedstat(&PathBuf::from(format!("/proc/{thread}")))
}

/// CPU time of all threads of a process that are there now.
#[must_use]
pub fn process_cpu_time(process: u32) -> Duration {
    let tasks = PathBuf::from(format!("/proc/{process}/task"));
    numbers(&tasks).filter_map(|thread| schedstat(&tasks.join(thread.to_string()))).sum()
}

/// The thread of a process with this name.
#[must_use]
pub fn named(process: u32, wanted: &str) -> Option<u32> {
    let tasks = PathBuf::from(format!("/proc/{process}/task"));
    numbers(&tasks).find(|thread| name(&tasks.join(thread.to_string())).as_deref() == Some(wanted))
}

/// The CPUs that a thread may use, as the kernel lists them (`0-1`); empty = it is gone.
#[must_use]
pub fn allowed_cpus(thread: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.unwrap_or_default().trim().to_owned()
}

fn numbers(folder: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn name(folder: &Path) -> Option<String> {
    Some(std::fs::read_to_string(folder.join("comm")).ok()?.trim_end().to_owned())
}

fn schedstat(folder: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(folder.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_thread_of_each_name_and_the_time_of_all() {
        let own = std::process::id();
        let worker = std::thread::Builder::new().name("gn-busy".into());
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let worker = worker.spawn(move || asked.recv().is_err()).unwrap();
        crate::wait::wait_until("the thread has its name", Duration::from_secs(10), || {
            named(own, "gn-busy").is_some()
        })
        .unwrap();
        let thread = named(own, "gn-busy").unwrap();
        assert!(cpu_time(thread).unwrap() <= process_cpu_time(own));
        assert!(!allowed_cpus(thread).is_empty());
        drop(ask);
        assert!(worker.join().unwrap());
        assert_eq!(napi_of("gn-no-such-device"), []);
    }
}
