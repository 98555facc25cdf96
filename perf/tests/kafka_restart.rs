//! The broker is away when a probe stops, or the probe is killed: the next start sends what was left, and the collector has every
//! flow once and closed books.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod whole;

use std::path::Path;

use perf::kernel::signal::Signal;
use perf::process::Program;
use perf::wait::wait_until;
use whole::broker::Broker;
use whole::{Collector, PATIENCE, capture, reader};

/// Flows of a capture.
const FLOWS: u16 = 300;

fn spool(folder: &Path, words: &[&str]) -> perf::process::Finished {
    let state = folder.join("state").display().to_string();
    let words = [&["spool"], words, &["--state-dir", &state]].concat();
    Program::ours("gannet-probe").unwrap().args(words).run(PATIENCE).unwrap()
}

#[test]
fn what_a_stop_left_behind_is_said_listed_and_stored_after_the_next_start() {
    let broker = Broker::own();
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.pcap"), folder.path().join("second.pcap"));
    capture(&first, 1_000, FLOWS);
    capture(&second, 5_000, FLOWS);
    broker.kill();
    let mut running = reader(&first, None, &["--ntopng", &broker.url()]).start().unwrap();
    running.wait_for_line("ready:", PATIENCE).unwrap();
    wait_until("the flows are in the spool", PATIENCE, || {
        spool(folder.path(), &["list"]).stdout.contains(&format!("{FLOWS} records"))
    })
    .unwrap();
    let listed = spool(folder.path(), &["list"]).stdout;
    assert!(listed.contains("a probe runs on it") && listed.contains("in use"), "{listed}");
    let refused = spool(folder.path(), &["drop", &broker.url()]);
    assert!(
        refused.code() == 1 && refused.stderr.contains("the running probe uses it"),
        "{}",
        refused.stderr
    );
    let stopped = running.stop(Signal::Terminate, PATIENCE).unwrap();
    assert_eq!(stopped.code(), 0, "{}", stopped.stderr);
    assert!(stopped.stderr.contains(&format!("in spool   {FLOWS} records wait for {}", broker.url())));
    broker.start();
    let collector = Collector::start(&folder.path().join("store"), None, &["-i", &broker.url()]);
    let finished = whole::probe(&second, None, &["--ntopng", &broker.url()]);
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert!(!finished.stderr.contains("in spool"), "{}", finished.stderr);
    let (code, ledger) = collector.check();
    assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
    assert_eq!(collector.rows(), 2 * u64::from(FLOWS));
    let list = spool(folder.path(), &["list"]).stdout;
    assert!(list.contains("0 records in 0 batches wait"), "{list}");
}

/// A URL that is changed, by a further bootstrap server too, is another output.
#[test]
fn what_waits_for_a_url_that_no_output_has_any_more_is_warned_of_at_each_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first.pcap");
    capture(&first, 1_000, FLOWS);
    // Nobody listens there.
    let [old, other] = [(); 2].map(|()| format!("127.0.0.1:{}", whole::free_port()));
    let (old, new) = (format!("kafka://{old}"), format!("kafka://{old},{other}"));
    let start = |words: &[&str], line: &str| {
        let mut running = reader(&first, None, words).start().unwrap();
        running.wait_for_line(line, PATIENCE).unwrap();
        running.stop(Signal::Terminate, PATIENCE).unwrap().stderr
    };
    let mut running = reader(&first, None, &["--ntopng", &old]).start().unwrap();
    running.wait_for_line("ready:", PATIENCE).unwrap();
    wait_until("the flows are in the spool", PATIENCE, || {
        spool(folder.path(), &["list"]).stdout.contains(&format!("{FLOWS} records"))
    })
    .unwrap();
    running.stop(Signal::Terminate, PATIENCE).unwrap();
    for _ in 0..2 {
        let said = start(&["--ntopng", &new], "ready:");
        let warning = said.lines().find(|line| line.contains("which no output of this run is")).unwrap();
        for words in [
            "WARN",
            &format!("records) wait for {old},"),
            " min (--cursor-ttl) they are discarded as cursor_dropped",
            &format!("start with --ntopng {old} beside"),
            &format!("gannet-probe spool drop {old}"),
        ] {
            assert!(warning.contains(words), "{words}: {warning}");
        }
    }
    let said = start(&["--ntopng", &old, "--ntopng", &new], "ready:");
    assert!(!said.contains("which no output of this run is"), "{said}");
}

#[test]
fn a_cursor_that_is_dropped_by_hand_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first.pcap");
    capture(&first, 1_000, FLOWS);
    // Nobody listens there.
    let away = format!("kafka://127.0.0.1:{}", whole::free_port());
    let mut running = reader(&first, None, &["--ntopng", &away]).start().unwrap();
    running.wait_for_line("ready:", PATIENCE).unwrap();
    wait_until("the flows are in the spool", PATIENCE, || {
        spool(folder.path(), &["list"]).stdout.contains(&format!("{FLOWS} records"))
    })
    .unwrap();
    running.stop(Signal::Terminate, PATIENCE).unwrap();
    let unknown = spool(folder.path(), &["drop", "kafka://other:9092"]);
    assert!(unknown.code() == 2 && unknown.stderr.contains(&away), "{}", unknown.stderr);
    let dropped = spool(folder.path(), &["drop", &away]);
    assert!(dropped.code() == 0 && dropped.stdout.contains("next start"), "{}", dropped.stdout);
    let other = format!("kafka://127.0.0.1:{}", whole::free_port());
    let mut running = reader(&first, None, &["--ntopng", &other]).start().unwrap();
    running.wait_for_line("is dropped, as somebody asked for", PATIENCE).unwrap();
    running.stop(Signal::Terminate, PATIENCE).unwrap();
    assert!(!spool(folder.path(), &["list"]).stdout.contains(&away));
}
