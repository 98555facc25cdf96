//! The Kafka sink where the broker does not grant everything, where somebody has its identity, and over TLS.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "kafka/bench.rs"]
mod bench;
#[path = "kafka/broker.rs"]
mod broker;
#[path = "kafka/reader.rs"]
mod reader;

use std::process::Command;
use std::time::Duration;

use bench::{Running, all_below, new_epoch, new_prefix, sealed, sink, sink_at};
use broker::Broker;
use flow_wire::ledger::{Discard, Guarantee};
use flow_wire::stamp::StreamId;
use probe::export::kafka::Options;
use reader::committed;

const ACL: &str = "org.apache.kafka.tools.AclCommand";

#[test]
fn without_the_right_to_transactions_it_is_at_least_once_and_says_so() {
    let broker = Broker::configured(|_, properties| {
        properties.push_str(
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             allow.everyone.if.no.acl.found=true\n",
        );
    });
    let nobody = ["--add", "--deny-principal", "User:ANONYMOUS", "--operation", "All", "--force"];
    broker.tool(ACL, &[&nobody[..], &["--transactional-id", "*"]].concat());
    let prefix = new_prefix();
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    let epoch = new_epoch();
    (0..30).for_each(|sequence| running.outbox.append(&sealed(epoch, 0, sequence, 2)));
    let terms = running.finish().remove(0);
    assert_eq!((terms.guarantee, terms.acknowledged), (Guarantee::AtLeastOnce, 60));
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], all_below(30));
}

#[test]
fn a_second_probe_with_the_same_identity_pushes_the_first_aside_and_doubles_nothing() {
    let broker = Broker::any();
    let prefix = new_prefix();
    let (first_epoch, second_epoch) = (new_epoch(), new_epoch());
    let first = Running::start(sink(&broker.bootstrap, &prefix));
    first.outbox.append(&sealed(first_epoch, 0, 0, 1));
    first.wait_acknowledged(1);
    let second = Running::start(sink(&broker.bootstrap, &prefix));
    second.outbox.append(&sealed(second_epoch, 0, 0, 1));
    second.wait_acknowledged(1);
    first.outbox.append(&sealed(first_epoch, 0, 1, 1));
    assert!(!first.outbox.wait_empty(Duration::from_secs(2)), "the first one still writes");
    second.outbox.append(&sealed(second_epoch, 0, 1, 1));
    assert_eq!(second.finish()[0].acknowledged, 2);
    first.outbox.abandon(Discard::DrainTimeout);
    first.outbox.end();
    first.thread.join().unwrap();
    first.outbox.abandon(Discard::DrainTimeout);
    assert_eq!(first.outbox.terms()[0].discarded[&Discard::DrainTimeout], 1);
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(first_epoch, StreamId(0))], [0]);
    assert_eq!(seen.sequences[&(second_epoch, StreamId(0))], [0, 1]);
}

#[test]
fn kafka_ssl_sends_over_tls_and_only_to_a_broker_it_can_verify() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut certificate = std::path::PathBuf::new();
    let broker = Broker::configured(|directory, properties| {
        certificate = directory.join("certificate.pem");
        let key = directory.join("key.pem");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=broker"]);
        openssl
            .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate);
        assert!(openssl.output().unwrap().status.success());
        let both = [std::fs::read(&key).unwrap(), std::fs::read(&certificate).unwrap()].concat();
        let store = directory.join("keystore.pem");
        std::fs::write(&store, both).unwrap();
        let tls = format!(",SSL://127.0.0.1:{port}");
        *properties = properties.replace(",CONTROLLER://", &format!("{tls},CONTROLLER://"));
        let advertised =
            properties.lines().find(|line| line.starts_with("advertised.listeners=")).unwrap().to_owned();
        *properties = properties.replace(&advertised, &format!("{advertised}{tls}"));
        properties.push_str(&format!("ssl.keystore.type=PEM\nssl.keystore.location={}\n", store.display()));
        // Kafka names the controller's listener by itself only where all are plain.
        properties
            .push_str("listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\n");
    });
    let prefix = new_prefix();
    let url = format!("kafka-ssl://127.0.0.1:{port}");
    let authority = ("ssl.ca.location".to_owned(), certificate.display().to_string());
    let options = Options { prefix: prefix.clone(), settings: vec![authority], ..Options::default() };
    let running = Running::start(sink_at(&url, options.clone()));
    let epoch = new_epoch();
    running.outbox.append(&sealed(epoch, 0, 0, 5));
    assert_eq!(running.finish()[0].acknowledged, 5);
    assert_eq!(committed(&broker.bootstrap, &format!("{prefix}.flow")).rows, 5);

    // Nobody has vouched for this certificate: nothing is sent.
    let running = Running::start(sink_at(&url, Options { settings: Vec::new(), ..options }));
    running.outbox.append(&sealed(new_epoch(), 0, 0, 5));
    assert!(!running.outbox.wait_empty(Duration::from_secs(2)), "it was sent to whoever answered");
    running.outbox.abandon(Discard::DrainTimeout);
    running.outbox.end();
    running.thread.join().unwrap();
    assert_eq!(committed(&broker.bootstrap, &format!("{prefix}.flow")).rows, 5);
}
