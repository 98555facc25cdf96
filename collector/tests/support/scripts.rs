//! A directory of scripts, what the metrics say of them, and their processes.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::collector::{Collector, wait_until};

/// Why a script did not see a flow.
const REASONS: [&str; 5] = ["queue_full", "process_ended", "time_limit", "not_loaded", "stopped"];

/// A directory of a test.
pub(crate) struct Scripts(pub(crate) TempDir);

impl Scripts {
    /// With these files: name and text.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let scripts = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| scripts.write(name, text));
        scripts
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.directory().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.0.path().join("scripts")
    }

    /// A collector with them.
    pub(crate) fn collect(&self, inputs: &[&str], words: &[&str]) -> Collector {
        let directory = self.directory();
        let all = [&["--scripts-dir", directory.to_str().unwrap()], words].concat();
        Collector::start_with(&self.0.path().join("store"), inputs, &all)
    }

    /// A file beside them.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A counter of a script, by its name without `_total`; 0 = it is not there.
pub(crate) fn counted(collector: &Collector, counter: &str, script: &str, more: &str) -> u64 {
    let metrics = collector.text("/metrics").1;
    let suffix = if counter.ends_with("waiting_flows") { "" } else { "_total" };
    let start = format!("collector_script_{counter}{suffix}{{script=\"{script}\"{more}}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&start)).map_or(0, |value| value.parse().unwrap())
}

pub(crate) fn runs(collector: &Collector, script: &str, outcome: &str) -> u64 {
    counted(collector, "runs", script, &format!(",outcome=\"{outcome}\""))
}

pub(crate) fn dropped(collector: &Collector, script: &str, reason: &str) -> u64 {
    counted(collector, "dropped_flows", script, &format!(",reason=\"{reason}\""))
}

/// Nothing waits any more, and every stored flow was seen or dropped: how many were seen.
pub(crate) fn assert_accounted(collector: &Collector, script: &str) -> u64 {
    let of = |counter| counted(collector, counter, script, "");
    wait_until("every stored flow is offered, and none waits", || {
        of("offered_flows") == collector.rows() && of("waiting_flows") == 0
    });
    let dropped: u64 = REASONS.iter().map(|reason| dropped(collector, script, reason)).sum();
    assert_eq!(of("seen_flows") + dropped, collector.rows(), "{}", collector.log());
    of("seen_flows")
}

/// The process of a script.
pub(crate) fn process_of(collector: &Collector, script: &str) -> Option<u32> {
    let is_its = |id: &u32| {
        let file =
            |name: &str| std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join(name)).ok();
        let parent = format!("PPid:\t{}\n", collector.id());
        let words = format!("gannet-collector\0lua-child\0{script}\0");
        file("status").is_some_and(|status| status.contains(&parent))
            && file("cmdline").is_some_and(|line| line == words)
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).find(is_its)
}

pub(crate) fn signal(name: &str, id: u32) {
    let status = std::process::Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
    assert!(status.unwrap().success());
}
