//! Scripts and a real broker: ntop's announcement as it stands, a broker that goes, one with a password.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod kafka;
    pub(crate) mod scripts;
}

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use support::collector::{Collector, wait_until};
use support::kafka::{Broker, Producer};
use support::scripts::{Scripts, assert_accounted, counted, process_of, runs};

/// All that is in a topic's first partition, as text, in its order.
fn messages(broker: &Broker, topic: &str, at_least: usize) -> Vec<String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &broker.real().bootstrap).set("group.id", "test");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let mut found = Vec::new();
    wait_until("the messages are in the topic", || {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(500)) {
            found.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
        }
        found.len() >= at_least
    });
    while let Some(Ok(message)) = consumer.poll(Duration::from_millis(500)) {
        found.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    found
}

fn kafka(collector: &Collector, script: &str, outcome: &str) -> u64 {
    counted(collector, "kafka_messages", script, &format!(",outcome=\"{outcome}\""))
}

#[test]
fn the_announcement_s_lines_reach_a_real_broker() {
    let broker = Broker::start();
    let bootstrap = &broker.real().bootstrap;
    // As ntop's page asks: topics are there beforehand.
    ["hello", "info"].iter().for_each(|topic| broker.make_topic(topic));
    // ntop's lines, hosts aside; the second as its page composes it.
    let text = format!(
        "print(ntop.sendKafkaMessage(\"{bootstrap};hello;\", \"Hello World\"))
         local broker_ip, topic, kafka_options, message = \"{bootstrap}\", \"info\", \"compression.codec=gzip\", \"some information\"
         print(ntop.sendKafkaMessage(broker_ip..\";\"..topic..\";\"..kafka_options, message))
         print(ntop.sendKafkaMessage(\"{bootstrap};hello;\", \"a\\0b\"))
         print(ntop.sendKafkaMessage(\"{bootstrap};hello;acks=many\", \"x\"))"
    );
    let scripts = Scripts::new(&[("hello.lua", &text)]);
    let program = env!("CARGO_BIN_EXE_gannet-collector");
    let output =
        Command::new(program).arg("lua").arg(scripts.directory().join("hello.lua")).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(err.contains("Kafka: 3 messages queued, 1 refused, 3 delivered, 0 failed"), "{err}");
    assert_eq!(output.status.code(), Some(1), "one was refused: {err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[..3], ["true\tnil"; 3]);
    assert!(lines[3].starts_with("false\toption acks: "), "{out}");
    assert_eq!(messages(&broker, "hello", 2), ["Hello World", "a\0b"]);
    assert_eq!(messages(&broker, "info", 1), ["some information"]);
}

#[test]
fn statistics_go_out_each_second_and_a_broker_that_is_away_is_told_once() {
    let broker = Broker::start();
    let bootstrap = &broker.real().bootstrap;
    let shipped = include_str!("../../deploy/scripts/minute/export.lua");
    let export = shipped
        .replace("\"127.0.0.1\", \"gannet-stats\"", &format!("\"{bootstrap}\", \"stats\""))
        .replace("compression.codec=gzip", "compression.codec=gzip,message.timeout.ms=2000");
    assert_ne!(shipped, export);
    let follow = format!(
        "return function(flow) ntop.sendKafkaMessage('{bootstrap};flows;', flow.source_ip_address) end"
    );
    let scripts = Scripts::new(&[("second/export.lua", &export), ("flow/send.lua", &follow)]);
    broker.make_topics("gannet", 1);
    ["stats", "flows"].iter().for_each(|topic| broker.make_topic(topic));
    let mut producer = Producer::new(&broker, "gannet", 1);
    let collector = scripts.collect(&[&broker.url()], &[]);
    producer.send(5);
    producer.cut(false);
    wait_until("all is stored", || collector.rows() == producer.rows());
    assert_eq!(assert_accounted(&collector, "flow/send.lua"), producer.rows());
    wait_until("all are delivered", || kafka(&collector, "flow/send.lua", "delivered") == producer.rows());
    assert_eq!(messages(&broker, "flows", producer.rows() as usize).len() as u64, producer.rows());
    let stats = || messages(&broker, "stats", 2);
    let says_all =
        |text: &String| serde_json::from_str::<serde_json::Value>(text).unwrap()["flows"] == producer.rows();
    wait_until("a message has all flows in it", || stats().iter().any(says_all));

    broker.crash();
    wait_until("messages fail", || kafka(&collector, "second/export.lua", "failed") >= 3);
    let told = collector.log().matches("topic stats: messages were not delivered").count();
    assert_eq!(told, 1, "{}", collector.log());
    broker.restart();
    let before = kafka(&collector, "second/export.lua", "delivered");
    wait_until("they are delivered again", || kafka(&collector, "second/export.lua", "delivered") > before);
    assert_eq!(
        runs(&collector, "second/export.lua", "killed_time") + runs(&collector, "second/export.lua", "ended"),
        0
    );
    let ledger = collector.ask(&["ledger", "--check"]);
    assert_eq!(ledger["residual"]["packets"], 0, "{ledger}");
    assert_eq!(collector.stop(), Some(0));
}

#[test]
fn a_password_reaches_the_script_s_producer_and_nobody_s_eyes() {
    let broker = Broker::start_with(&["--secure"]);
    let topic = [
        "--topic",
        "gannet.",
        "--producer",
        "--allow-principal",
        "User:collector",
        "--resource-pattern-type",
        "prefixed",
    ];
    broker.real().acl("--add", &topic);
    broker.make_topic("gannet.told");
    let address = broker.real().url_of("sasl_ssl");
    let scripts =
        Scripts::new(&[("second.lua", &format!("ntop.sendKafkaMessage('{address};gannet.told;', 'told')"))]);
    let password = broker.real().password("collector");
    let conf = scripts.beside("kafka.conf");
    let authority = broker.real().path("ca.pem");
    let text = format!(
        "ssl.ca.location={}\nsasl.mechanism=SCRAM-SHA-256\nsasl.username=collector\nsasl.password={password}\n",
        authority.display()
    );
    std::fs::write(&conf, text).unwrap();
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o600)).unwrap();
    let word = format!("@{}", conf.display());
    let collector = scripts.collect(&["zmq://127.0.0.1:9"], &["--script-kafka-conf", &word]);
    wait_until("it is delivered", || kafka(&collector, "second.lua", "delivered") >= 2);
    assert_eq!(messages(&broker, "gannet.told", 2)[0], "told");
    let id = process_of(&collector, "second.lua").unwrap();
    for name in ["cmdline", "environ"] {
        let words = std::fs::read(format!("/proc/{id}/{name}")).unwrap();
        assert!(!String::from_utf8_lossy(&words).contains(&password), "{name}");
    }
    assert!(!collector.log().contains(&password));
    assert_eq!(collector.stop(), Some(0));
}
