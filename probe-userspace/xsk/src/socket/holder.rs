//! Who may hold a busy queue: the processes that have an AF_XDP fill ring mapped.
//!
//! The kernel names the owner of a queue only through sock_diag, which few kernels are built with (CONFIG_XDP_SOCKETS_DIAG). A mapping of
//! a socket at the fill ring's offset shows in /proc/PID/maps everywhere, and nothing but AF_XDP has one.

use std::fs;

/// Processes that are named at most: more than one is rare, and a message should stay one.
const NAMED_MAX: usize = 8;

/// "NAME (pid N)" of each other process with a fill ring; those whose maps we may not read are missing.
pub(super) fn candidates() -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        // This one has the rings of its other queues mapped already.
        .filter(|process| *process != std::process::id())
        .filter(|process| has_fill_ring(*process))
        .map(|process| format!("{} (pid {process})", name(process)))
        .take(NAMED_MAX)
        .collect()
}

fn has_fill_ring(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/maps")).is_ok_and(|maps| maps.lines().any(is_fill_ring))
}

/// proc(5): address, permissions, offset, device, inode, path.
fn is_fill_ring(line: &str) -> bool {
    let mut fields = line.split_ascii_whitespace();
    let offset = fields.nth(2).and_then(|offset| u64::from_str_radix(offset, 16).ok());
    let path = fields.nth(2);
    offset == Some(libc::XDP_UMEM_PGOFF_FILL_RING) && path.is_some_and(|path| path.starts_with("socket:"))
}

fn name(process: u32) -> String {
    fs::read_to_string(format!("/proc/{process}/comm"))
        .map_or_else(|_| "?".into(), |name| name.trim_end().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_ring_is_told_from_other_mappings() {
        assert!(is_fill_ring("7f24e1000000-7f24e1005000 rw-s 100000000 00:08 51234    socket:[51234]"));
        assert!(!is_fill_ring("7f24e1000000-7f24e1005000 rw-s 180000000 00:08 51234    socket:[51234]"));
        assert!(!is_fill_ring("7f24e1000000-7f24e1005000 rw-s 100000000 fe:00 51234    /var/lib/large.file"));
        assert!(!is_fill_ring("7ffd1a9e9000-7ffd1aa0a000 rw-p 00000000 00:00 0    [stack]"));
        assert!(!is_fill_ring(""));
    }
}
