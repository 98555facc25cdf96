//! How much memory the host would give.

/// Octets that can be had without pushing anything out: `MemAvailable`, and at most what the control group may have in all.
/// `None` = nobody says.
pub fn available_octets() -> Option<u64> {
    let of_host = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_in);
    of_host.into_iter().chain(group_limit()).min()
}

/// The line `MemAvailable:  123 kB` of proc(5).
fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// `memory.max` of the own control group (version 2), which says `max` where there is none.
fn group_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let limit = std::fs::read_to_string(format!("/sys/fs/cgroup{own}/memory.max")).ok()?;
    limit.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read_in_octets() {
        let meminfo = "MemTotal:       100 kB\nMemFree:        1 kB\nMemAvailable:   50 kB\n";
        assert_eq!(available_in(meminfo), Some(50 * 1024));
        assert_eq!(available_in("MemTotal: 100 kB\n"), None);
    }
}
