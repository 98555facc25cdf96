//! Outputs of `--kafka`, and who reads them.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::process::Command;

use flow_wire::endpoint::Endpoint;
use flow_wire::field::Template;
use flow_wire::generic::{Format, Writer};
use flow_wire::kafka_conf::KafkaConf;
use flow_wire::ntop::Keys;
use probe::export::kafka::flows::{Acknowledge, Destination, Flows, SchemaId};
use probe::export::kafka::{Kafka, Options};
use serde_json::Value;

use super::bench::PROBE;
use super::broker::{Broker, root};

pub(crate) const JSON: Format = Format::Json { keys: Keys::Names, has_timestamp: false };

/// With an alias, an address that is not there, and a number that is another one in each batch.
pub(crate) const TEMPLATE: &str = "%IPV4_SRC_ADDR=>client %IPV4_DST_ADDR %IPV6_DST_ADDR %IN_BYTES %reverseLayer2OctetDeltaCount \
                                   %observationDomainId";

pub(crate) fn flows(broker: &Broker, topic: &str, format: Format, schema: SchemaId) -> Flows {
    flows_to(&broker.url(), topic, format, schema)
}

pub(crate) fn flows_to(url: &str, topic: &str, format: Format, schema: SchemaId) -> Flows {
    let Endpoint::Kafka(brokers) = url.parse().unwrap() else { panic!() };
    let (topic, acknowledge) = (topic.to_owned(), Acknowledge::All);
    let destination = Destination { brokers, topic, acknowledge, compression: "none" };
    Flows { destination, template: Template::parse(TEMPLATE).unwrap(), format, schema }
}

pub(crate) fn sink(broker: &Broker, topic: &str, format: Format, schema: SchemaId) -> Box<Kafka> {
    sink_of(flows(broker, topic, format, schema), KafkaConf::default())
}

pub(crate) fn sink_of(flows: Flows, settings: KafkaConf) -> Box<Kafka> {
    Box::new(Kafka::of_flows(flows, PROBE, Options { settings, ..Options::default() }).unwrap())
}

/// How a reader knows the schema.
pub(crate) enum Read<'a> {
    Registry(&'a str),
    /// The messages are bare; a file has the schema, where the format has one.
    Bare(Option<Format>),
}

/// All committed flows of a topic.
pub(crate) fn read(broker: &Broker, topic: &str, word: &str, how: Read<'_>) -> Vec<Value> {
    let bootstrap = broker.bootstrap.as_str();
    match how {
        Read::Registry(url) => foreign(&["read", bootstrap, topic, word, url]),
        Read::Bare(None) => foreign(&["read", bootstrap, topic, word]),
        Read::Bare(Some(format)) => {
            let file = schema_file(format);
            foreign(&["bare", bootstrap, topic, word, &file.path().display().to_string()])
        }
    }
}

/// The id that Confluent's client is given for the same schema.
pub(crate) fn subject_id(registry: &str, topic: &str, format: Format) -> u64 {
    let (file, kind) = (schema_file(format), if format == Format::Avro { "AVRO" } else { "PROTOBUF" });
    let path = file.path().display().to_string();
    let said = foreign(&["register", registry, &format!("{topic}-value"), kind, &path]);
    said[0].as_u64().unwrap()
}

fn schema_file(format: Format) -> tempfile::NamedTempFile {
    let writer = Writer::new(&Template::parse(TEMPLATE).unwrap(), format).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), writer.schema().unwrap().text).unwrap();
    file
}

/// What the consumer that nobody here wrote prints: a line of JSON a flow.
pub(crate) fn foreign(words: &[&str]) -> Vec<Value> {
    let output = Command::new(root().join("deploy/kafka/confluent"))
        .arg(root().join("deploy/kafka/read_topic.py"))
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
