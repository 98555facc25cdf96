//! The Kafka sink against a real broker: what a reader of committed messages sees, whatever is killed.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "kafka/bench.rs"]
mod bench;
#[path = "kafka/broker.rs"]
mod broker;
#[path = "kafka/reader.rs"]
mod reader;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench::{PROBE, Running, all_below, new_epoch, new_prefix, record, sealed, sink};
use broker::{Broker, root};
use flow_wire::batch::{Sealed, encode};
use flow_wire::endpoint::Endpoint;
use flow_wire::ledger::{Discard, Message};
use flow_wire::record::FlowRecord;
use flow_wire::stamp::{Epoch, Sequence, Stamp, StreamId};
use probe::export::kafka::{Kafka, Options};
use reader::committed;
use uuid::Uuid;

#[test]
fn a_foreign_consumer_reads_every_flow_by_the_documented_format() {
    let broker = Broker::any();
    let prefix = new_prefix();
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    let epoch = new_epoch();
    for sequence in 0..20 {
        for stream in 0..6 {
            running.outbox.append(&sealed(epoch, stream, sequence, 3));
        }
    }
    let message: Message = serde_json::from_str(
        r#"{"version":1,"exporter":"host","epoch_start_nanoseconds":1,"time_nanoseconds":2,"active_timeout_seconds":120,
            "queues":[],"workers":[],"cursors":[],"cuts":[],"closed":true}"#,
    )
    .unwrap();
    let control = Stamp { probe: PROBE, epoch, stream: StreamId::CONTROL, sequence: Sequence(0) };
    running.outbox.append(&Arc::new(Sealed::ledger(&message, control).unwrap()));
    let terms = running.finish();
    assert!(terms.iter().all(|terms| terms.acknowledged == 60), "{terms:?}");

    let output = Command::new(root().join("deploy/kafka/pyarrow"))
        .arg(root().join("deploy/kafka/read_flows.py"))
        .args([&broker.bootstrap, &prefix])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<serde_json::Value> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let (ledgers, flows): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.get("ledger").is_some());
    assert_eq!(ledgers.len(), 1);
    assert_eq!(ledgers[0]["ledger"], serde_json::to_value(&message).unwrap());
    assert_eq!(flows.len(), 360);
    let sum: u64 = flows.iter().filter_map(|flow| flow["reverse_layer2_octet_delta_count"].as_u64()).sum();
    assert_eq!(sum, 360 * 4_170 + 6 * 3 * (0..20).sum::<u64>());
    for flow in &flows {
        assert_eq!(flow["partition"], flow["stream"].as_u64().unwrap() % 4);
        assert_eq!((&flow["source_ip_address"], &flow["vlan_id"]), (&"192.0.2.1".into(), &7.into()));
        assert_eq!(
            (&flow["icmp_type"], &flow["flow_end_reason"]),
            (&serde_json::Value::Null, &"end_of_flow".into())
        );
    }
}

#[test]
fn a_broker_that_crashes_in_the_middle_loses_and_doubles_nothing() {
    let broker = Broker::own();
    let prefix = new_prefix();
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    let epoch = new_epoch();
    let append = |from: u64, to: u64| {
        (from..to).for_each(|sequence| running.outbox.append(&sealed(epoch, 1, sequence, 100)));
    };
    append(0, 50);
    running.wait_acknowledged(100);
    append(50, 300);
    broker.kill();
    append(300, 400);
    broker.start();
    append(400, 500);
    running.wait_acknowledged(50_000);
    running.finish();
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(epoch, StreamId(1))], all_below(500));
    assert_eq!(seen.rows, 50_000);
}

/// The child process of the test below: sends until it is killed.
#[test]
fn child_that_sends_until_it_is_killed() {
    let Ok(bootstrap) = std::env::var("GANNET_TEST_CHILD") else { return };
    let prefix = std::env::var("GANNET_TEST_PREFIX").unwrap();
    let running = Running::start(sink(&bootstrap, &prefix));
    let epoch = new_epoch();
    for sequence in 0.. {
        running.outbox.append(&sealed(epoch, 2, sequence, 50));
        while running.outbox.terms()[0].in_spool > 10_000 {
            std::thread::yield_now();
        }
        if running.acknowledged() > 0 {
            println!("committed");
        }
    }
}

/// It ends with the test, however that ends.
struct Sender(Child);

impl Sender {
    fn start(bootstrap: &str, prefix: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_sends_until_it_is_killed", "--nocapture"])
            .env("GANNET_TEST_CHILD", bootstrap)
            .env("GANNET_TEST_PREFIX", prefix)
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Until it has committed something, and many batches more.
    fn wait_committed(&mut self) {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let committed = lines.map_while(Result::ok).filter(|line| line == "committed");
        assert_eq!(committed.take(100).count(), 100, "the child ended by itself");
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_probe_that_is_killed_leaves_no_duplicate_and_no_hole() {
    let broker = Broker::any();
    let prefix = new_prefix();
    for _ in 0..4 {
        Sender::start(&broker.bootstrap, &prefix).wait_committed();
    }
    // The next start of the probe closes what the killed one left open.
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    let last = new_epoch();
    running.outbox.append(&sealed(last, 2, 0, 1));
    running.finish();
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences.len(), 5);
    assert_eq!(seen.sequences[&(last, StreamId(2))], [0]);
    for sequences in seen.sequences.values() {
        assert_eq!(*sequences, all_below(sequences.len() as u64));
    }
}

#[test]
fn a_batch_that_the_broker_never_takes_is_counted_and_holds_nothing_up() {
    let broker = Broker::any();
    let prefix = new_prefix();
    let first = Running::start(sink(&broker.bootstrap, &prefix));
    let epoch = new_epoch();
    first.outbox.append(&sealed(epoch, 0, 0, 1));
    first.finish();
    let topic = format!("{prefix}.flow");
    let limit = ["--alter", "--entity-type", "topics", "--entity-name", &topic];
    broker.tool(
        "kafka.admin.ConfigCommand",
        &[&limit[..], &["--add-config", "max.message.bytes=20000"]].concat(),
    );
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    running.outbox.append(&sealed(epoch, 0, 1, 1));
    running.outbox.append(&incompressible(epoch, 2));
    running.outbox.append(&sealed(epoch, 0, 3, 1));
    let terms = running.finish().remove(0);
    assert_eq!((terms.acknowledged, terms.in_spool, terms.discarded_batches), (2, 0, 1));
    assert_eq!(terms.discarded[&Discard::RefusedByBus], 1_000);
    let seen = committed(&broker.bootstrap, &topic);
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], [0, 1, 3]);
}

/// A full batch that zstd cannot make small.
fn incompressible(epoch: Epoch, sequence: u64) -> Arc<Sealed> {
    let stamp = Stamp { probe: PROBE, epoch, stream: StreamId(0), sequence: Sequence(sequence) };
    let random = |_| FlowRecord {
        source_ip_address: std::net::Ipv6Addr::from(Uuid::new_v4().as_u128()).into(),
        destination_ip_address: std::net::Ipv6Addr::from(Uuid::new_v4().as_u128()).into(),
        ..record(0)
    };
    Arc::new(encode(&(0..1_000).map(random).collect::<Vec<_>>(), stamp).unwrap())
}

/// A sink that never gets an answer, from its start to its end: the bounds of the exporter hold, and all is counted.
fn sink_without_answer(address: std::net::SocketAddr) {
    let running = Running::start(sink(&address.to_string(), "gannet"));
    (0..10).for_each(|sequence| running.outbox.append(&sealed(new_epoch(), 0, sequence, 1)));
    assert!(!running.outbox.wait_empty(Duration::from_millis(500)));
    let began = Instant::now();
    running.outbox.abandon(Discard::DrainTimeout);
    running.outbox.end();
    running.thread.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let terms = running.outbox.terms().remove(0);
    assert_eq!((terms.records_out, terms.acknowledged), (10, 0));
    assert_eq!(terms.discarded[&Discard::DrainTimeout], 10);
}

#[test]
fn a_broker_that_is_away_holds_up_nobody() {
    // A port that nobody listens on any more.
    sink_without_answer(std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
}

#[test]
fn a_broker_that_hangs_holds_up_nobody() {
    // The kernel takes the connection, and nobody ever answers.
    let hung = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    sink_without_answer(hung.local_addr().unwrap());
}

#[test]
fn a_setting_that_does_not_exist_is_named() {
    let Endpoint::Kafka(endpoint) = "kafka://127.0.0.1:1".parse().unwrap() else { panic!() };
    let options = Options { settings: vec![("no.such".to_owned(), "1".to_owned())], ..Options::default() };
    let error = Kafka::new(&endpoint, PROBE, options).err().unwrap().to_string();
    assert!(error.contains("no.such"), "{error}");
}
