//! The spool under the Kafka sink, against a real broker: what was sealed is there once, whatever dies.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "kafka/bench.rs"]
mod bench;
#[path = "../../deploy/kafka/broker.rs"]
mod broker;
#[path = "kafka/reader.rs"]
mod reader;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use bench::{Running, all_below, new_epoch, new_prefix, sealed, sink};
use broker::{Broker, shared};
use flow_wire::stamp::{Epoch, StreamId};
use reader::committed;
use uuid::Uuid;

/// A sink over a spool in this folder.
fn start(bootstrap: &str, prefix: &str, folder: &Path) -> Running {
    Running::spooled(sink(bootstrap, prefix), folder)
}

/// The child process of the test below: seals and sends until it is killed.
#[test]
#[ignore = "a role of the test below, which starts it"]
fn child_that_seals_until_it_is_killed() {
    let bootstrap = std::env::var("GANNET_TEST_CHILD").unwrap();
    let prefix = std::env::var("GANNET_TEST_PREFIX").unwrap();
    let folder = std::env::var("GANNET_TEST_FOLDER").unwrap();
    let running = start(&bootstrap, &prefix, Path::new(&folder));
    let epoch = new_epoch();
    running.outbox.begin_epoch(epoch, &[StreamId(2)]);
    println!("epoch {}", epoch.0);
    for sequence in 0.. {
        running.outbox.append(&sealed(epoch, 2, sequence, 20));
        println!("sealed {sequence}");
        while running.outbox.left().first().is_some_and(|(_, records)| *records > 4_000) {
            std::thread::yield_now();
        }
    }
}

/// It ends with the test, however that ends.
struct Probe {
    child: Child,
    said: std::io::Lines<BufReader<ChildStdout>>,
    epoch: Epoch,
}

impl Probe {
    fn start(bootstrap: &str, prefix: &str, folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_seals_until_it_is_killed", "--ignored", "--nocapture"])
            .env("GANNET_TEST_CHILD", bootstrap)
            .env("GANNET_TEST_PREFIX", prefix)
            .env("GANNET_TEST_FOLDER", folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let epoch = said
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("epoch ").map(|text| Epoch(Uuid::parse_str(text).unwrap())));
        Self { child, said, epoch: epoch.unwrap() }
    }

    /// Kills it once it has sealed so many batches; gives how many it said.
    fn kill_after(mut self, batches: u64) -> (Epoch, u64) {
        let mut count = 0;
        let sealed = |line: String| line.strip_prefix("sealed ").and_then(|text| text.parse::<u64>().ok());
        while count < batches {
            let line = self.said.next().expect("the child ended by itself").unwrap();
            count = sealed(line).map_or(count, |sequence| sequence + 1);
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let rest = self.said.by_ref().map_while(Result::ok).filter_map(sealed).last();
        (self.epoch, rest.map_or(count, |sequence| sequence + 1))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _it_may_have_ended = self.child.kill();
        let _it_may_have_ended = self.child.wait();
    }
}

#[test]
fn a_probe_that_is_killed_again_and_again_sends_everything_once() {
    let broker = shared();
    let prefix = new_prefix();
    let folder = tempfile::tempdir().unwrap();
    // From the first connect to well behind it: before, in and between transactions.
    let sealed_by: Vec<_> = [1, 30, 90, 200, 350, 201, 400]
        .into_iter()
        .map(|batches| Probe::start(&broker.bootstrap, &prefix, folder.path()).kill_after(batches))
        .collect();
    let last = start(&broker.bootstrap, &prefix, folder.path());
    last.outbox.begin_epoch(new_epoch(), &[StreamId(2)]);
    last.finish();
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    for (epoch, batches) in sealed_by {
        let sequences = &seen.sequences[&(epoch, StreamId(2))];
        assert_eq!(*sequences, all_below(sequences.len() as u64), "once each, in their order");
        // One more may have been in the spool and not said yet.
        assert!(sequences.len() as u64 >= batches, "{} of {batches}", sequences.len());
    }
}

#[test]
fn what_a_stop_leaves_behind_goes_out_at_the_next_start_with_its_first_stamp() {
    let broker = Broker::own();
    let prefix = new_prefix();
    let folder = tempfile::tempdir().unwrap();
    let epoch = new_epoch();
    let first = start(&broker.bootstrap, &prefix, folder.path());
    first.outbox.begin_epoch(epoch, &[StreamId(0)]);
    first.outbox.append(&sealed(epoch, 0, 0, 5));
    first.wait_acknowledged(5);
    broker.kill();
    (1..50).for_each(|sequence| first.outbox.append(&sealed(epoch, 0, sequence, 5)));
    first.wait_said("batches are kept and sent when it answers again");
    let terms = first.outbox.terms().remove(0);
    assert_eq!((terms.in_spool, terms.discarded.len()), (245, 0));
    assert_eq!(first.leave(), 245);
    broker.start();
    let second = start(&broker.bootstrap, &prefix, folder.path());
    second.outbox.begin_epoch(new_epoch(), &[StreamId(0)]);
    second.finish();
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], all_below(50));
}

#[test]
fn where_the_topics_are_deleted_the_cursors_own_file_counts() {
    let broker = shared();
    let prefix = new_prefix();
    let folder = tempfile::tempdir().unwrap();
    let epoch = new_epoch();
    let first = start(&broker.bootstrap, &prefix, folder.path());
    first.outbox.begin_epoch(epoch, &[StreamId(0)]);
    (0..20).for_each(|sequence| first.outbox.append(&sealed(epoch, 0, sequence, 1)));
    first.wait_acknowledged(20);
    assert_eq!(first.leave(), 0);
    for kind in ["flow", "ledger"] {
        broker.tool(
            "org.apache.kafka.tools.TopicCommand",
            &["--delete", "--topic", &format!("{prefix}.{kind}")],
        );
    }
    let second = start(&broker.bootstrap, &prefix, folder.path());
    let next = new_epoch();
    second.outbox.begin_epoch(next, &[StreamId(0)]);
    (0..20).for_each(|sequence| second.outbox.append(&sealed(next, 0, sequence, 1)));
    second.finish();
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences.len(), 1, "what the deleted log had is not sent again");
    assert_eq!(seen.sequences[&(next, StreamId(0))], all_below(20));
}
