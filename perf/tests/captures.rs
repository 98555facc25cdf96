//! Every capture of a folder: `make test-captures CAPTURES=DIR`. Prints the table that goes into the journal.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod oracle;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use oracle::agree::{Report, agree};

fn captures(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let is_capture = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| ["pcap", "pcapng", "cap"].iter().any(|known| extension == *known))
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(is_capture).collect();
    paths.sort();
    paths
}

/// A report of each, on all cores: what takes the time is starting tshark.
fn all(paths: &[PathBuf]) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let work = || {
        let take = || paths.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(take).map(|path| (path, agree(path))).collect::<Vec<_>>()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut reports = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    reports.sort_by_key(|(path, _)| *path);
    reports.into_iter().map(|(_, report)| report).collect()
}

#[test]
fn every_capture_of_the_folder_agrees_with_independent_tools() {
    let folder =
        std::env::var_os("CAPTURES").expect("CAPTURES names a folder: make test-captures CAPTURES=DIR");
    let paths = captures(Path::new(&folder));
    assert!(!paths.is_empty(), "{} holds no capture (*.pcap, *.pcapng, *.cap)", folder.display());
    let reports = all(&paths);
    for (path, report) in paths.iter().zip(&reports) {
        print_line(path, report);
    }
    print_sum(&reports);
    let failed = reports.iter().filter(|report| !report.unpredicted.is_empty()).count();
    assert_eq!(failed, 0, "{failed} of {} files have something that nothing predicted", paths.len());
}

/// A line of the table: file, packets, octets, records, exceptions, differing conversations and nfdump flows.
fn print_line(path: &Path, report: &Report) {
    /// So many of the unpredicted things are shown of a file.
    const SHOWN: usize = 5;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let nfdump = match &report.nfdump {
        Some(Ok(flows)) => format!("{flows} {:?}", report.nfdump_differing),
        _ => "does not read it".to_owned(),
    };
    let Report { packets, octets, records, excepted, conversations, conversations_differing, .. } = report;
    println!(
        "| {name} | {packets} | {octets} | {records} {:?} | {excepted:?} | {conversations} {conversations_differing:?} | {nfdump} |",
        report.reasons
    );
    for line in report.unpredicted.iter().take(SHOWN) {
        println!("  UNPREDICTED {line}");
    }
    if report.unpredicted.len() > SHOWN {
        println!("  UNPREDICTED and {} more", report.unpredicted.len() - SHOWN);
    }
}

fn print_sum(reports: &[Report]) {
    let mut excepted: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (reason, amount) in reports.iter().flat_map(|report| &report.excepted) {
        let sum = excepted.entry(reason).or_default();
        *sum = (sum.0 + amount.0, sum.1 + amount.1);
    }
    let packets: u64 = reports.iter().map(|report| report.packets).sum();
    let octets: u64 = reports.iter().map(|report| report.octets).sum();
    let records: usize = reports.iter().map(|report| report.records).sum();
    println!("{} files, {packets} packets, {octets} octets, {records} records", reports.len());
    println!("exceptions by reason (packets, octets): {excepted:?}");
}
