//! Namespaces that a killed test left behind: known by the pid in the name, which no process has any more.

use std::path::Path;
use std::process::Command;

/// What all our namespaces begin with.
const PREFIX: &str = "gn-";

/// Removes every namespace of ours whose maker is dead. Failure is no error: somebody else may sweep at the same time.
pub(super) fn sweep() {
    let Ok(listed) = super::run(Command::new("ip").args(["netns", "list"])) else { return };
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        if maker(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(name);
        }
    }
}

/// Ends what still runs in a namespace of ours, then unnames it.
pub(super) fn remove(name: &str) {
    if let Ok(pids) = super::run(Command::new("ip").args(["netns", "pids", name])) {
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            crate::kernel::signal::send(pid, crate::kernel::signal::Signal::Kill);
        }
    }
    // Refused only when it is gone already.
    drop(super::run(Command::new("ip").args(["netns", "delete", name])));
}

/// The pid in `gn-<label>-<pid>-<n>`; `None` for a name that is not ours.
fn maker(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix(PREFIX)?.rsplitn(3, '-');
    let number = parts.next()?;
    let pid = parts.next()?;
    parts.next()?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_form_have_a_maker() {
        assert_eq!(maker("gn-live-4711-0"), Some(4711));
        assert_eq!(maker("gn-two-words-4711-12"), Some(4711));
        for foreign in ["gn-demo", "gn-4711-0", "gn-live-abc-0", "gn-live-4711-x", "blue", ""] {
            assert_eq!(maker(foreign), None, "{foreign:?}");
        }
    }
}
