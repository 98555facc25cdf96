//! The Kafka sink and its topics: made as asked, deleted, widened, of another kind.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../deploy/kafka/admin.rs"]
mod admin;
#[path = "kafka/bench.rs"]
mod bench;
#[path = "../../deploy/kafka/broker.rs"]
mod broker;
#[path = "kafka/reader.rs"]
mod reader;

use std::time::Duration;

use admin::Admin;
use bench::{Running, all_below, incompressible, new_epoch, new_prefix, options, sealed, sink, sink_at};
use broker::shared;
use flow_wire::ledger::Discard;
use flow_wire::stamp::StreamId;
use probe::export::kafka::Options;
use reader::committed;

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
    assert_eq!(running.abandon().0[0].discarded[&Discard::DrainTimeout], 1);
}

#[test]
fn a_topic_that_is_deleted_while_it_is_written_is_made_again() {
    let (broker, prefix, epoch) = (shared(), new_prefix(), new_epoch());
    let (admin, topic) = (Admin::of(&broker.bootstrap), format!("{prefix}.flow"));
    let running = Running::start(sink(&broker.bootstrap, &prefix));
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
    let (broker, prefix, epoch) = (shared(), new_prefix(), new_epoch());
    let topic = format!("{prefix}.flow");
    let admin = Admin::of(&broker.bootstrap);
    admin.make(&topic, 1);
    admin.configure(&topic, &[("max.message.bytes", "20000")]);
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    running.outbox.append(&sealed(epoch, 0, 1, 1));
    running.outbox.append(&incompressible(epoch, 2));
    running.outbox.append(&sealed(epoch, 0, 3, 1));
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
