//! The Kafka sink and its topics: made as asked, deleted, widened, of another kind.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../deploy/kafka/admin.rs"]
mod admin;
#[path = "kafka/bench.rs"]
mod bench;
#[path = "../../deploy/kafka/broker.rs"]
mod broker;
#[path = "kafka/proxy.rs"]
mod proxy;
#[path = "kafka/reader.rs"]
mod reader;

use std::time::{Duration, Instant};

use admin::Admin;
use bench::{Running, all_below, incompressible, new_epoch, new_prefix, options, sealed, sink, sink_at};
use broker::{Broker, shared};
use flow_wire::ledger::Discard;
use flow_wire::stamp::StreamId;
use probe::export::kafka::{Kafka, Options};
use proxy::{END_TXN, NONE, Proxy, TXN_OFFSET_COMMIT};
use reader::committed;

/// As the sink has it: so long the coordinator waits, and whoever asks it.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn topics_are_made_as_asked_and_one_that_differs_is_told() {
    let (broker, prefix) = (shared(), new_prefix());
    let asked = |partitions, replication, hours| Options {
        partitions: Some(partitions),
        replication: Some(replication),
        retention: Some(hours * HOUR),
        ..options(&prefix, &[])
    };
    let run = |options| {
        let running = Running::start(sink_at(&broker.url(), options));
        running.append(new_epoch(), 0, 0..1);
        running.wait_acknowledged(1);
        let said = running.said();
        running.finish();
        said
    };
    let said = run(asked(3, 1, 36));
    assert!(said.contains("topic made") && !said.contains("asks for"), "{said}");
    let (admin, flow) = (Admin::of(&broker.bootstrap), format!("{prefix}.flow"));
    assert_eq!((admin.partitions(&flow), admin.option(&flow, "retention.ms").as_str()), (3, "129600000"));
    assert_eq!(admin.option(&format!("{prefix}.ledger"), "retention.ms"), "129600000");

    let said = run(asked(3, 1, 36));
    assert!(!said.contains("topic made") && !said.contains("asks for"), "{said}");
    let said = run(asked(5, 2, 48));
    for words in [
        format!(
            "topic '{flow}' has 3 partitions, --topic-partitions asks for 5: kafka-topics.sh --alter --topic {flow}"
        ),
        format!("topic '{flow}' has 1 replicas, --topic-replication asks for 2"),
        format!("topic '{flow}' has retention.ms=129600000, --topic-retention asks for 172800000"),
        format!("topic '{prefix}.ledger' has retention.ms=129600000"),
    ] {
        assert_eq!(said.matches(&words).count(), 1, "{words}\n{said}");
    }
}

#[test]
fn more_replicas_than_there_are_brokers_is_told() {
    let (broker, prefix) = (shared(), new_prefix());
    let running =
        Running::start(sink_at(&broker.url(), Options { replication: Some(3), ..options(&prefix, &[]) }));
    running.append(new_epoch(), 0, 0..1);
    running.wait_said(&format!(
        "topic '{prefix}.flow' is missing, or hidden from this user, and cannot be made"
    ));
    running.wait_said("ask for no more replicas by --topic-replication than there are brokers");
    assert_eq!(running.abandon().0[0].in_spool, 1);
}

/// The spool's cursor is in the ledger topic's name, which stays.
#[test]
fn a_topic_that_is_deleted_while_it_is_written_is_made_again() {
    made_again_while_it_is_written(Running::start);
}

#[test]
fn a_topic_that_is_deleted_while_it_is_written_from_memory_is_made_again() {
    made_again_while_it_is_written(Running::in_memory);
}

fn made_again_while_it_is_written(start: impl FnOnce(Box<Kafka>) -> Running) {
    let (broker, prefix, epoch) = (shared(), new_prefix(), new_epoch());
    let (admin, topic) = (Admin::of(&broker.bootstrap), format!("{prefix}.flow"));
    let running = start(sink(&broker.bootstrap, &prefix));
    running.append(epoch, 0, 0..3);
    running.wait_acknowledged(3);
    admin.delete(&topic);
    running.append(epoch, 0, 3..9);
    running.wait_said("a topic is gone");
    running.wait_acknowledged(9);
    running.wait_said("the broker takes batches again");
    running.append(epoch, 0, 9..10);
    assert_eq!(running.finish()[0].acknowledged, 10);
    // What had been written was deleted with it; nothing since is lost, and nothing is there twice.
    let seen = committed(&broker.bootstrap, &topic);
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], (3..10).collect::<Vec<_>>());
}

/// A broker of which everybody hears through the proxy.
fn behind(proxy: &Proxy) -> Broker {
    let broker = Broker::with(&[&format!("advertised.listeners=PLAINTEXT://{}", proxy.address())]);
    proxy.forward_to(&broker.bootstrap);
    broker
}

/// A commit that nobody heard the answer to is neither aborted nor made a second time, whatever else goes wrong.
fn topic_that_goes_under_an_unanswered_commit(start: impl FnOnce(Box<Kafka>) -> Running) {
    let (proxy, prefix, epoch) = (Proxy::bind(), new_prefix(), new_epoch());
    let broker = behind(&proxy);
    // Asked again so soon, where nothing else brings the answer.
    let options = options(&prefix, &[("socket.timeout.ms", "4000")]);
    let running = start(sink_at(&format!("kafka://{}", proxy.address()), options));
    running.append(epoch, 0, 0..1);
    running.wait_acknowledged(1);

    proxy.withhold(END_TXN);
    running.append(epoch, 0, 1..2);
    running.wait_until("a commit is not heard of", || proxy.withheld() > 0);
    Admin::of(&broker.bootstrap).delete(&format!("{prefix}.flow"));
    running.append(epoch, 0, 2..8);
    running.wait_until("the topic is made anew, or the commit asked for again", || {
        proxy.withheld() > 1 || running.said().contains("a topic is gone")
    });
    proxy.withhold(NONE);
    running.wait_acknowledged(8);
    running.finish();
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], (2..8).collect::<Vec<_>>());
}

#[test]
fn what_became_of_an_unanswered_commit_is_read_from_the_place_that_the_broker_keeps() {
    topic_that_goes_under_an_unanswered_commit(Running::start);
}

#[test]
fn without_a_place_the_answer_to_a_commit_is_waited_for() {
    topic_that_goes_under_an_unanswered_commit(Running::in_memory);
}

#[test]
fn an_abort_that_is_not_answered_costs_a_producer_and_no_batch() {
    let (proxy, prefix, epoch) = (Proxy::bind(), new_prefix(), new_epoch());
    let broker = behind(&proxy);
    let (admin, topic) = (Admin::of(&broker.bootstrap), format!("{prefix}.flow"));
    admin.make(&topic, 1);
    admin.configure(&topic, &[("max.message.bytes", "20000")]);
    let options = options(&prefix, &[("transaction.timeout.ms", "2000")]);
    let running = Running::start(sink_at(&format!("kafka://{}", proxy.address()), options));
    running.append(epoch, 0, 0..1);
    running.wait_acknowledged(1);

    proxy.withhold(END_TXN);
    // The broker refuses it, and with it the transaction.
    running.put(&incompressible(epoch, 1));
    running.wait_until("an abort is not heard of", || proxy.withheld() > 0);
    running.append(epoch, 0, 2..4);
    running.wait_said("the producer is made anew");
    proxy.withhold(NONE);
    let terms = running.finish().remove(0);
    assert_eq!((terms.acknowledged, terms.discarded[&Discard::RefusedByBus]), (3, 1_000));
    assert_eq!(committed(&broker.bootstrap, &topic).sequences[&(epoch, StreamId(0))], [0, 2, 3]);
}

/// With a probe whose second batch has no answer to the call that puts the spool's cursor into its transaction: of that librdkafka's caller
/// is not told before the transaction's own time is over, and never where the broker goes under it.
fn unplaced(then: impl FnOnce(Running, &Proxy, &Broker) -> Vec<u64>) {
    let (proxy, prefix, epoch) = (Proxy::bind(), new_prefix(), new_epoch());
    let broker = behind(&proxy);
    let running = Running::start(sink_at(&format!("kafka://{}", proxy.address()), options(&prefix, &[])));
    running.append(epoch, 0, 0..1);
    running.wait_acknowledged(1);

    proxy.withhold(TXN_OFFSET_COMMIT);
    let begin = Instant::now();
    running.append(epoch, 0, 1..2);
    running.wait_said("the broker has not answered for");
    assert!(proxy.withheld() > 0 && begin.elapsed() < TRANSACTION_TIMEOUT, "{:?}", begin.elapsed());
    let expected = then(running, &proxy, &broker);
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], expected);
}

#[test]
fn a_cursor_whose_place_is_not_answered_does_not_hold_up_the_stop() {
    unplaced(|running, _, _| {
        let begin = Instant::now();
        running.abandon();
        assert!(begin.elapsed() < TRANSACTION_TIMEOUT / 3, "it was held up for {:?}", begin.elapsed());
        vec![0]
    });
}

#[test]
fn a_cursor_whose_place_is_answered_later_is_there_once() {
    unplaced(|running, proxy, _| {
        proxy.withhold(NONE);
        running.wait_acknowledged(2);
        running.finish();
        vec![0, 1]
    });
}

#[test]
fn a_broker_that_goes_under_the_cursor_has_everything_once_when_it_is_back() {
    unplaced(|running, proxy, broker| {
        broker.kill();
        proxy.withhold(NONE);
        broker.start();
        running.wait_acknowledged(2);
        running.finish();
        vec![0, 1]
    });
}

#[test]
fn partitions_that_are_added_serve_the_next_start_and_move_no_stream() {
    let (broker, prefix) = (shared(), new_prefix());
    let (before, after) = (new_epoch(), new_epoch());
    let topic = format!("{prefix}.flow");
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    running.append(before, 5, 0..2);
    running.wait_acknowledged(2);
    Admin::of(&broker.bootstrap).widen(&topic, 6);
    running.append(before, 5, 2..40);
    running.finish();
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    running.append(after, 5, 0..2);
    running.finish();
    let seen = committed(&broker.bootstrap, &topic);
    let stream = StreamId(5);
    assert_eq!(seen.sequences[&(before, stream)], all_below(40));
    // Stream modulo partitions: of 4, and of 6.
    assert_eq!([seen.partitions[&(before, stream)], seen.partitions[&(after, stream)]], [1, 5]);
}

#[test]
fn a_batch_that_the_broker_never_takes_is_counted_and_holds_nothing_up() {
    counted_where_it_is_never_taken(Running::start);
}

#[test]
fn a_batch_in_memory_that_the_broker_never_takes_is_counted_and_holds_nothing_up() {
    counted_where_it_is_never_taken(Running::in_memory);
}

fn counted_where_it_is_never_taken(start: impl FnOnce(Box<Kafka>) -> Running) {
    let (broker, prefix, epoch) = (shared(), new_prefix(), new_epoch());
    let topic = format!("{prefix}.flow");
    let admin = Admin::of(&broker.bootstrap);
    admin.make(&topic, 1);
    admin.configure(&topic, &[("max.message.bytes", "20000")]);
    let running = start(sink(&broker.bootstrap, &prefix));
    running.put(&sealed(epoch, 0, 1, 1));
    running.put(&incompressible(epoch, 2));
    running.put(&sealed(epoch, 0, 3, 1));
    running.wait_said("it is counted as refused_by_bus; raise max.message.bytes of the topic");
    let terms = running.finish().remove(0);
    assert_eq!((terms.acknowledged, terms.in_spool, terms.discarded_batches), (2, 0, 1));
    assert_eq!(terms.discarded[&Discard::RefusedByBus], 1_000);
    let seen = committed(&broker.bootstrap, &topic);
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], [1, 3]);
}

#[test]
fn a_compacted_topic_is_told_and_waited_for() {
    let (broker, prefix, epoch) = (shared(), new_prefix(), new_epoch());
    let topic = format!("{prefix}.flow");
    let admin = Admin::of(&broker.bootstrap);
    admin.make(&topic, 1);
    admin.configure(&topic, &[("cleanup.policy", "compact")]);
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    running.append(epoch, 0, 0..20);
    running.wait_said("set its cleanup.policy to delete");
    admin.configure(&topic, &[("cleanup.policy", "delete")]);
    assert_eq!(running.finish()[0].acknowledged, 20);
    let seen = committed(&broker.bootstrap, &topic);
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], all_below(20));
}
