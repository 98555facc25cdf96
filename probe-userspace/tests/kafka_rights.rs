//! The Kafka sink and a broker that does not let everybody in, nor do everything: TLS, SASL, ACLs.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../deploy/kafka/admin.rs"]
mod admin;
#[path = "kafka/bench.rs"]
mod bench;
#[path = "../../deploy/kafka/broker.rs"]
mod broker;
#[path = "kafka/reader.rs"]
mod reader;

use std::sync::Once;

use admin::Admin;
use bench::{Running, all_below, new_epoch, new_prefix, options, sink_at};
use broker::{Broker, secure};
use flow_wire::ledger::Guarantee;
use flow_wire::stamp::StreamId;
use probe::export::kafka::{Kafka, Options};
use reader::committed;

/// Topics of this prefix the user `probe` may do with as it likes, and with transactions.
const GRANTED: &str = "granted";

/// The broker, on which `probe` has its rights.
fn granted() -> &'static Broker {
    static GRANT: Once = Once::new();
    let broker = secure();
    GRANT.call_once(|| {
        // All that the guide says a probe needs.
        let names = ["--producer", "--consumer", "--topic", GRANTED, "--transactional-id", "gannet/"];
        let names = [&names[..], &["--group", "gannet-spool/"]].concat();
        let who = ["--allow-principal", "User:probe", "--resource-pattern-type", "prefixed"];
        broker.acl("--add", &[&names[..], &who].concat());
    });
    broker
}

/// Settings of a user who logs in.
fn login(prefix: &str, user: &str, mechanism: &str, password: &str) -> Options {
    let authority = secure().path("ca.pem");
    let settings = [
        ("ssl.ca.location", authority.to_str().unwrap()),
        ("sasl.mechanism", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ];
    options(prefix, &settings)
}

#[test]
fn every_login_over_every_listener_gets_the_right_password_in_and_no_other() {
    let broker = granted();
    for listener in ["sasl_plaintext", "sasl_ssl"] {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let prefix = format!("{GRANTED}-{listener}-{mechanism}").to_lowercase();
            let (password, epoch, url) = (broker.password("probe"), new_epoch(), broker.url_of(listener));
            let running = Running::start(sink_at(&url, login(&prefix, "probe", mechanism, &password)));
            running.append(epoch, 0, 0..3);
            running.wait_acknowledged(3);
            assert!(!running.said().contains(&password), "{}", running.said());
            running.finish();

            let running = Running::start(sink_at(&url, login(&prefix, "probe", mechanism, "wr0ng-one")));
            running.append(new_epoch(), 0, 0..3);
            running.wait_said("check sasl.mechanism, sasl.username and sasl.password");
            let (terms, said) = running.abandon();
            assert_eq!((terms[0].acknowledged, terms[0].in_spool), (0, 3));
            assert!(!said.contains("wr0ng-one") && said.contains("ERROR"), "{said}");
            assert_eq!(committed(&broker.bootstrap, &format!("{prefix}.flow")).rows, 3);
        }
    }
}

#[test]
fn tls_reaches_only_a_broker_that_can_be_verified() {
    let (broker, prefix) = (secure(), new_prefix());
    let url = broker.url_of("ssl");
    let vouched_by = |name| {
        let authority = broker.path(name);
        options(&prefix, &[("ssl.ca.location", authority.to_str().unwrap())])
    };
    let running = Running::start(sink_at(&url, vouched_by("ca.pem")));
    running.append(new_epoch(), 0, 0..5);
    assert_eq!(running.finish()[0].acknowledged, 5);

    let elsewhere = url.replace("127.0.0.1", "localhost");
    let cases = [
        (&url, vouched_by("other-ca.pem"), "certificate"),
        (&url, options(&prefix, &[]), "certificate"),
        // The broker's certificate is for its address.
        (&elsewhere, vouched_by("ca.pem"), "names the host as the URL does"),
    ];
    for (url, options, words) in cases {
        let running = Running::start(sink_at(url, options));
        running.append(new_epoch(), 0, 0..5);
        running.wait_said("no TLS with the broker (");
        let (terms, said) = running.abandon();
        assert!(said.contains(words) && said.contains("ERROR"), "{said}");
        assert_eq!(terms[0].in_spool, 5);
    }
    assert_eq!(committed(&broker.bootstrap, &format!("{prefix}.flow")).rows, 5);
}

#[test]
fn without_the_right_to_transactions_it_is_at_least_once_and_says_so() {
    let (broker, prefix) = (secure(), "no-transactions");
    let who = ["--allow-principal", "User:collector", "--resource-pattern-type", "prefixed"];
    broker.acl("--add", &[&["--producer", "--topic", prefix][..], &who].concat());
    let password = broker.password("collector");
    let options = login(prefix, "collector", "SCRAM-SHA-512", &password);
    let running = Running::start(sink_at(&broker.url_of("sasl_ssl"), options));
    let epoch = new_epoch();
    running.append(epoch, 0, 0..30);
    running.wait_said("at least once instead of exactly once");
    let terms = running.finish().remove(0);
    assert_eq!((terms.guarantee, terms.acknowledged), (Guarantee::AtLeastOnce, 30));
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], all_below(30));
}

#[test]
fn a_cursor_that_the_broker_may_not_keep_is_told_and_holds_nothing_up() {
    let (broker, prefix) = (secure(), "no-cursor");
    let who = ["--allow-principal", "User:collector", "--resource-pattern-type", "prefixed"];
    let permit = |words: &[&str]| broker.acl("--add", &[words, &who].concat());
    let url = broker.url_of("sasl_ssl");
    let folder = tempfile::tempdir().unwrap();
    let send = |expected: Guarantee| {
        let epoch = new_epoch();
        let password = broker.password("collector");
        let options = login(prefix, "collector", "SCRAM-SHA-512", &password);
        let running = Running::spooled(sink_at(&url, options), folder.path());
        running.append(epoch, 0, 0..30);
        running.wait_acknowledged(30);
        let is_told = running.said().contains("the broker does not keep the spool's cursor");
        assert_eq!(is_told, expected == Guarantee::AtLeastOnce, "{}", running.said());
        assert_eq!(running.outbox.terms()[0].guarantee, expected, "{}", running.said());
        running.leave();
        let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
        assert_eq!(seen.sequences[&(epoch, StreamId(0))], all_below(30));
    };
    let transactions = ["--producer", "--topic", prefix, "--transactional-id", "gannet/"];
    permit(&transactions);
    // The group is hidden; it may be read and not written; the topic that lends its name may not be read.
    send(Guarantee::AtLeastOnce);
    permit(&["--operation", "Describe", "--group", "gannet-spool/"]);
    send(Guarantee::AtLeastOnce);
    permit(&["--operation", "Read", "--group", "gannet-spool/"]);
    send(Guarantee::AtLeastOnce);
    permit(&["--operation", "Read", "--topic", prefix]);
    send(Guarantee::ExactlyOnce);
    assert_eq!(committed(&broker.bootstrap, &format!("{prefix}.flow")).rows, 120);
    // Another test has this user without them.
    broker.acl("--remove", &[&transactions[..], &who].concat());
}

#[test]
fn what_is_not_permitted_is_told_and_waits_until_it_is() {
    told_and_waited_for("by-and-by", Running::in_memory);
}

/// The spool's cursor is in the transaction that fails, and is not to blame.
#[test]
fn what_is_not_permitted_waits_in_the_spool_and_costs_its_cursor_nothing() {
    told_and_waited_for("at-last", Running::start);
}

fn told_and_waited_for(prefix: &str, start: impl FnOnce(Box<Kafka>) -> Running) {
    let broker = granted();
    let (flow, ledger) = (format!("{prefix}.flow"), format!("{prefix}.ledger"));
    let options = login(prefix, "probe", "SCRAM-SHA-256", &broker.password("probe"));
    let running = start(sink_at(&broker.url_of("sasl_plaintext"), options));
    let epoch = new_epoch();

    // Nobody may make topics, nor see them.
    running.append(epoch, 0, 0..10);
    running.wait_said(&format!("topic '{flow}' is missing, or hidden from this user, and cannot be made"));
    running.wait_said(&format!("or make it: kafka-topics.sh --create --topic {flow} --partitions 4"));

    // An operator makes them, and permits the rest.
    let admin = Admin::of(&broker.bootstrap);
    admin.make(&flow, 2);
    admin.make(&ledger, 1);
    let rights = |operations: &[&'static str]| {
        let operations = operations.iter().flat_map(|operation| ["--operation", *operation]);
        let topic = ["--topic", prefix, "--resource-pattern-type", "prefixed"];
        operations.chain(topic).chain(["--allow-principal", "User:probe"]).collect::<Vec<_>>()
    };
    broker.acl("--add", &rights(&["Read", "Write", "Describe"]));
    running.wait_acknowledged(10);

    // It is taken back while flows go on.
    broker.acl("--remove", &rights(&["Write"]));
    running.append(epoch, 0, 10..30);
    running.wait_said("permit Write and Describe on the topics");
    running.append(epoch, 0, 30..40);
    assert_eq!(running.acknowledged(), 10);
    broker.acl("--add", &rights(&["Write"]));
    running.wait_acknowledged(40);
    running.wait_said("the broker takes batches again");
    assert!(!running.said().contains("does not keep the spool's cursor"), "{}", running.said());
    let terms = running.finish().remove(0);
    assert_eq!((terms.guarantee, terms.acknowledged), (Guarantee::ExactlyOnce, 40));
    let seen = committed(&broker.bootstrap, &flow);
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], all_below(40));
}
