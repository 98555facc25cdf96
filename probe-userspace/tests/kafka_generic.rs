//! `--kafka` against a real broker, read by consumers that nobody here wrote: Confluent's client with its deserializers, fastavro, protoc, Kafka's own
//! console consumer.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "kafka/bench.rs"]
mod bench;
#[path = "../../deploy/kafka/broker.rs"]
mod broker;
#[path = "kafka/generic.rs"]
mod generic;
#[path = "kafka/registry.rs"]
mod registry;

use std::path::PathBuf;
use std::process::Command;

use bench::{Running, new_epoch, new_prefix, sealed};
use broker::{Broker, shared};
use flow_wire::generic::Format;
use flow_wire::ledger::Guarantee;
use flow_wire::ntop::Keys;
use generic::{JSON, Read, foreign, read, sink, sink_of, subject_id};
use probe::export::kafka::flows::{Acknowledge, SchemaId};
use registry::Registry;
use serde_json::Value;

/// Sequence of the batch, as the bench's records have it in their octets.
fn sequences(flows: &[Value]) -> Vec<u64> {
    let of = |flow: &Value| flow["reverseLayer2OctetDeltaCount"].as_u64().unwrap() - 4_170;
    let mut all: Vec<u64> = flows.iter().map(of).collect();
    all.sort_unstable();
    all
}

/// Each of them so many times.
fn times(sequences: std::ops::Range<u64>, rows: usize) -> Vec<u64> {
    sequences.flat_map(|sequence| std::iter::repeat_n(sequence, rows)).collect()
}

#[test]
fn json_comes_whole_over_all_partitions_and_the_books_balance() {
    let (broker, topic) = (shared(), new_prefix());
    let running = Running::start(sink(broker, &topic, JSON, SchemaId::None));
    let epoch = new_epoch();
    (0..60).for_each(|sequence| running.put(&sealed(epoch, 0, sequence, 25)));
    let terms = running.finish();
    assert_eq!((terms[0].acknowledged, terms[0].guarantee), (1_500, Guarantee::ExactlyOnce));
    assert!(terms[0].sink.ends_with(&format!("/{topic}")), "{terms:?}");
    let flows = read(broker, &topic, "json", Read::Bare(None));
    assert_eq!(sequences(&flows), times(0..60, 25));
    let first = &flows[0];
    assert_eq!((&first["client"], &first["IN_BYTES"]), (&"192.0.2.1".into(), &900.into()));
    assert!(first.get("IPV4_DST_ADDR").is_none() && first["IPV6_DST_ADDR"] == "2001:db8::2");
    let offsets = broker.tool("org.apache.kafka.tools.GetOffsetShell", &["--topic", &topic]);
    let ends: Vec<u64> =
        offsets.lines().map(|line| line.rsplit_once(':').unwrap().1.parse().unwrap()).collect();
    assert!(ends.len() == 4 && ends.iter().all(|end| *end > 300), "{offsets}");
}

/// A topic limits what librdkafka puts together, not a flow's own message.
#[test]
fn a_topic_that_takes_small_sets_only_has_each_flow_alone_and_loses_none() {
    let (broker, topic) = (shared(), new_prefix());
    let words = ["--create", "--topic", &topic, "--partitions", "2", "--config", "max.message.bytes=20000"];
    broker.tool("org.apache.kafka.tools.TopicCommand", &words);
    let running = Running::start(sink(broker, &topic, JSON, SchemaId::None));
    let epoch = new_epoch();
    (0..4).for_each(|sequence| running.put(&sealed(epoch, 0, sequence, 1_000)));
    running.wait_acknowledged(4_000);
    assert_eq!(running.said().matches("each goes alone from now on").count(), 1, "{}", running.said());
    let terms = running.finish();
    assert_eq!((terms[0].acknowledged, terms[0].guarantee), (4_000, Guarantee::ExactlyOnce));
    assert_eq!(sequences(&read(broker, &topic, "json", Read::Bare(None))), times(0..4, 1_000));
}

/// Confluent's deserializers get the schema by the id before each message, and nobody else told them.
#[test]
fn avro_and_protobuf_are_read_by_confluents_deserializers_through_the_registry() {
    let broker = shared();
    for (format, word, kind) in [(Format::Avro, "avro", "AVRO"), (Format::Protobuf, "protobuf", "PROTOBUF")] {
        let (registry, topic) = (Registry::start(), new_prefix());
        let running = Running::start(sink(broker, &topic, format, SchemaId::Of(registry.url.clone())));
        let epoch = new_epoch();
        (0..20).for_each(|sequence| running.put(&sealed(epoch, 0, sequence, 10)));
        running.finish();
        let flows = read(broker, &topic, word, Read::Registry(&registry.url));
        assert_eq!(sequences(&flows), times(0..20, 10), "{word}");
        assert!(flows.iter().all(|flow| flow["client"] == "192.0.2.1" && flow["IN_BYTES"] == 900));
        let asked = registry.asked();
        assert_eq!(asked.len(), 1, "once: {asked:?}");
        assert_eq!(asked[0].path, format!("/subjects/{topic}-value/versions"));
        assert!(asked[0].headers.contains(&"content-type: application/vnd.schemaregistry.v1+json".into()));
        assert_eq!(asked[0].body["schemaType"].as_str().unwrap_or("AVRO"), kind);
        // Confluent's client registers the printed schema, and is told the same number.
        assert_eq!(subject_id(&registry.url, &topic, format), 1);
    }
}

#[test]
fn bare_messages_are_read_with_the_schema_that_the_command_prints() {
    let broker = shared();
    for (format, word) in [(Format::Avro, "avro"), (Format::Protobuf, "protobuf")] {
        let topic = new_prefix();
        let running = Running::start(sink(broker, &topic, format, SchemaId::None));
        let epoch = new_epoch();
        (0..5).for_each(|sequence| running.put(&sealed(epoch, 0, sequence, 3)));
        running.finish();
        let flows = read(broker, &topic, word, Read::Bare(Some(format)));
        assert_eq!(sequences(&flows), times(0..5, 3), "{word}");
    }
}

#[test]
fn golden_octets_are_read_by_fastavro_and_protoc_as_the_json_beside_them() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("wire/tests/golden/generic");
    let path = |name: &str| folder.join(name).display().to_string();
    let mut names: Vec<Value> = Vec::new();
    let octets = std::fs::read(path("names.json")).unwrap();
    let mut rest = &octets[..];
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (message, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
        let mut flow: Value = serde_json::from_slice(message).unwrap();
        flow.as_object_mut().unwrap().remove("@timestamp").unwrap();
        names.push(flow);
        rest = behind;
    }
    assert_eq!(names.len(), 3);
    assert_eq!(foreign(&["golden", &path("flows.avro"), "avro", &path("flow.avsc")]), names);
    assert_eq!(foreign(&["golden", &path("flows.pb"), "protobuf", &path("flow.proto")]), names);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_has_everything_once() {
    let (broker, topic) = (Broker::own(), new_prefix());
    let running = Running::start(sink(&broker, &topic, JSON, SchemaId::None));
    let epoch = new_epoch();
    (0..40).for_each(|sequence| running.put(&sealed(epoch, 0, sequence, 20)));
    running.wait_acknowledged(20);
    broker.kill();
    (40..200).for_each(|sequence| running.put(&sealed(epoch, 0, sequence, 20)));
    running.wait_said("batches are kept and sent when it answers again");
    broker.start();
    running.wait_acknowledged(1_000);
    broker.stop();
    (200..240).for_each(|sequence| running.put(&sealed(epoch, 0, sequence, 20)));
    broker.start();
    running.finish();
    assert_eq!(sequences(&read(&broker, &topic, "json", Read::Bare(None))), times(0..240, 20));
}

#[test]
fn a_registry_that_is_away_or_refuses_is_waited_for_and_said() {
    let (broker, topic, registry) = (shared(), new_prefix(), Registry::start());
    registry.refuse(Some((409, "Schema being registered is incompatible")));
    let running = Running::start(sink(broker, &topic, Format::Avro, SchemaId::Of(registry.url.clone())));
    let epoch = new_epoch();
    (0..5).for_each(|sequence| running.put(&sealed(epoch, 0, sequence, 2)));
    running.wait_said("is not compatible (Schema being registered is incompatible)");
    registry.refuse(Some((503, "not the leader")));
    running.wait_said("answers 503: not the leader");
    assert_eq!(running.acknowledged(), 0);
    registry.refuse(None);
    running.finish();
    let flows = read(broker, &topic, "avro", Read::Registry(&registry.url));
    assert_eq!(sequences(&flows), times(0..5, 2));
}

#[test]
fn a_login_for_the_registry_is_in_the_header_and_nowhere_else() {
    let (broker, topic, registry) = (shared(), new_prefix(), Registry::start());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kafka.conf");
    std::fs::write(&file, "schema.registry.basic.auth.user.info=me:s3cret\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let words = [format!("@{}", file.display())];
    let settings = flow_wire::kafka_conf::KafkaConf::read(&words, None, &[]).unwrap();
    let sink =
        sink_of(generic::flows(broker, &topic, Format::Avro, SchemaId::Of(registry.url.clone())), settings);
    let running = Running::start(sink);
    running.append(new_epoch(), 0, 0..1);
    running.wait_acknowledged(1);
    let headers = registry.asked()[0].headers.clone();
    // `printf me:s3cret | base64`, in small letters as the test's registry keeps headers.
    assert!(headers.contains(&"authorization: basic bwu6cznjcmv0".to_owned()), "{headers:?}");
    assert!(!running.said().contains("s3cret"), "{}", running.said());
    running.finish();
}

#[test]
fn who_does_not_wait_for_all_replicas_is_told_what_that_is() {
    let broker = shared();
    for (acknowledge, guarantee, said) in [
        (Acknowledge::Leader, Guarantee::AtLeastOnce, "at least once"),
        (Acknowledge::Nobody, Guarantee::AtMostOnce, "at most once"),
    ] {
        let topic = new_prefix();
        let mut flows = generic::flows(broker, &topic, JSON, SchemaId::None);
        (flows.destination.acknowledge, flows.destination.compression) = (acknowledge, "gzip");
        let running = Running::start(sink_of(flows, Default::default()));
        let epoch = new_epoch();
        (0..10).for_each(|sequence| running.put(&sealed(epoch, 0, sequence, 5)));
        running.wait_said(said);
        assert_eq!(running.finish()[0].guarantee, guarantee);
        assert_eq!(sequences(&read(broker, &topic, "json", Read::Bare(None))), times(0..10, 5));
    }
}

/// What the spool gives back is checked, so it takes a batch that was never sound.
#[test]
fn a_batch_that_cannot_be_read_is_counted_and_holds_up_nobody() {
    let (broker, topic) = (shared(), new_prefix());
    let running = Running::in_memory(sink(broker, &topic, JSON, SchemaId::None));
    let epoch = new_epoch();
    for sequence in 0..9 {
        let mut batch = (*sealed(epoch, 0, sequence, 2)).clone();
        if sequence == 4 {
            let header = &batch.header;
            batch.header =
                flow_wire::header::Header::seal(header.kind, header.stamp, header.rows, b"no Arrow");
            batch.body = b"no Arrow".to_vec();
        }
        running.put(&std::sync::Arc::new(batch));
    }
    let said = "is counted as not_encodable";
    running.wait_said(said);
    let terms = running.finish();
    assert_eq!(terms[0].acknowledged, 16);
    assert_eq!(terms[0].discarded[&flow_wire::ledger::Discard::NotEncodable], 2);
    let expected: Vec<u64> = times(0..4, 2).into_iter().chain(times(5..9, 2)).collect();
    assert_eq!(sequences(&read(broker, &topic, "json", Read::Bare(None))), expected);
}

#[test]
fn names_and_numbers_are_keys_as_nprobe_has_them() {
    let (broker, topic) = (shared(), new_prefix());
    let mut flows = generic::flows(broker, &topic, JSON, SchemaId::None);
    flows.format = Format::Json { keys: Keys::Numbers, has_timestamp: true };
    let running = Running::start(sink_of(flows, Default::default()));
    running.append(new_epoch(), 0, 0..1);
    running.finish();
    // Kafka's own consumer, as ntop's page on the export has it.
    let words = ["--topic", &topic, "--from-beginning", "--max-messages", "1", "--timeout-ms", "30000"];
    let line = broker.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &words);
    assert_eq!(
        line,
        r#"{"client":"192.0.2.1","28":"2001:db8::2","1":900,"29305.352":4170,"149":1,"@timestamp":"2023-11-14T22:13:21.123Z"}"#
    );
}

#[test]
fn settings_and_schemas_are_printed() {
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gannet-probe")).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let list = run(&["--kafka-conf", "list"]);
    for key in ["batch.num.messages", "ssl.ca.location", "queue.buffering.max.ms", "sasl.username"] {
        assert!(list.contains(key), "{key}");
    }
    assert!(run(&["fields", "--format", "proto"]).contains("optional uint64 IN_BYTES = 1;"));
    let avro: Value =
        serde_json::from_str(&run(&["fields", "--format", "avro", "-T", "%IN_BYTES=>x"])).unwrap();
    assert_eq!((avro["fields"].as_array().unwrap().len(), &avro["fields"][0]["name"]), (1, &"x".into()));
    assert!(run(&["fields"]).contains("IN_BYTES"));
}
