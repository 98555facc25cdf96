//! The Kafka sink against a real broker: what a reader of committed messages sees, whatever is killed.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "kafka/bench.rs"]
mod bench;
#[path = "../../deploy/kafka/broker.rs"]
mod broker;
#[path = "kafka/reader.rs"]
mod reader;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bench::{PROBE, Running, all_below, new_epoch, new_prefix, options, sealed, sink};
use broker::{root, shared};
use flow_wire::batch::Sealed;
use flow_wire::endpoint::Endpoint;
use flow_wire::ledger::{Discard, Message};
use flow_wire::stamp::{Sequence, Stamp, StreamId};
use probe::export::kafka::Kafka;
use probe::spool::Note;
use reader::committed;

#[test]
fn a_foreign_consumer_reads_every_flow_by_the_documented_format() {
    let broker = shared();
    let prefix = new_prefix();
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    let epoch = new_epoch();
    for sequence in 0..20 {
        for stream in 0..6 {
            running.put(&sealed(epoch, stream, sequence, 3));
        }
    }
    let message: Message = serde_json::from_str(
        r#"{"version":1,"exporter":"host","epoch_start_nanoseconds":1,"time_nanoseconds":2,"active_timeout_seconds":120,
            "queues":[],"workers":[],"cursors":[],"cuts":[],"closed":true}"#,
    )
    .unwrap();
    let control = Stamp { probe: PROBE, epoch, stream: StreamId::CONTROL, sequence: Sequence(0) };
    running.outbox.append_books(&Arc::new(Sealed::ledger(&message, control).unwrap()), Note::ClosedBooks);
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

/// The child process of the test below: sends until it is killed. Over a spool it is in `kafka_spool`.
#[test]
#[ignore = "a role of the test below, which starts it"]
fn child_that_sends_until_it_is_killed() {
    let bootstrap = std::env::var("GANNET_TEST_CHILD").unwrap();
    let prefix = std::env::var("GANNET_TEST_PREFIX").unwrap();
    let running = Running::in_memory(sink(&bootstrap, &prefix));
    let epoch = new_epoch();
    for sequence in 0.. {
        running.put(&sealed(epoch, 2, sequence, 50));
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
            .args(["--exact", "child_that_sends_until_it_is_killed", "--ignored", "--nocapture"])
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
    let broker = shared();
    let prefix = new_prefix();
    for _ in 0..4 {
        Sender::start(&broker.bootstrap, &prefix).wait_committed();
    }
    // The next start of the probe closes what the killed one left open.
    let running = Running::in_memory(sink(&broker.bootstrap, &prefix));
    let last = new_epoch();
    running.put(&sealed(last, 2, 0, 1));
    running.finish();
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences.len(), 5);
    assert_eq!(seen.sequences[&(last, StreamId(2))], [0]);
    for sequences in seen.sequences.values() {
        assert_eq!(*sequences, all_below(sequences.len() as u64));
    }
}

#[test]
fn a_second_probe_with_the_same_identity_pushes_the_first_aside_and_doubles_nothing() {
    let broker = shared();
    let prefix = new_prefix();
    let (first_epoch, second_epoch) = (new_epoch(), new_epoch());
    let first = Running::start(sink(&broker.bootstrap, &prefix));
    first.append(first_epoch, 0, 0..1);
    first.wait_acknowledged(1);
    let second = Running::start(sink(&broker.bootstrap, &prefix));
    second.append(second_epoch, 0, 0..1);
    second.wait_acknowledged(1);
    first.append(first_epoch, 0, 1..2);
    first.wait_said("another one has the identity of this probe");
    second.append(second_epoch, 0, 1..2);
    assert_eq!(second.finish()[0].acknowledged, 2);
    let (terms, _) = first.abandon();
    assert_eq!(terms[0].in_spool, 1);
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(first_epoch, StreamId(0))], [0]);
    assert_eq!(seen.sequences[&(second_epoch, StreamId(0))], [0, 1]);
}

/// A sink that never gets an answer, from its start to its end: it ends when it is told to, and all is counted.
fn sink_without_answer(address: std::net::SocketAddr) {
    let abandoned = |start: fn(Box<Kafka>) -> Running| {
        let running = start(sink(&address.to_string(), "gannet"));
        running.append(new_epoch(), 0, 0..10);
        running.wait_said("batches are kept and sent when it answers again");
        running.abandon().0.remove(0)
    };
    let terms = abandoned(Running::start);
    assert_eq!((terms.records_out, terms.acknowledged, terms.in_spool), (10, 0, 10));
    let terms = abandoned(Running::in_memory);
    assert_eq!((terms.records_out, terms.acknowledged, terms.in_spool), (10, 0, 0));
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
fn a_setting_that_librdkafka_does_not_take_is_named_without_secrets() {
    let Endpoint::Kafka(endpoint) = "kafka://127.0.0.1:1".parse().unwrap() else { panic!() };
    let refused = |settings: &[(&str, &str)]| {
        Kafka::new(&endpoint, PROBE, options("x", settings)).err().unwrap().to_string()
    };
    let said = refused(&[("no.such", "1")]);
    assert!(said.contains("no.such"), "{said}");
    // The login that a build without Kerberos does not have is the one that librdkafka takes unless told otherwise.
    let said = refused(&[("sasl.username", "probe"), ("sasl.password", "s3cret")]);
    assert!(said.contains("GSSAPI") && !said.contains("s3cret"), "{said}");
    let said = refused(&[("security.protocol", "ssl"), ("ssl.key.pem", "s3cret")]);
    assert!(said.contains("ssl.key.pem") && !said.contains("s3cret"), "{said}");
}
