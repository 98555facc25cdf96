//! A real Kafka broker that other namespaces can reach, as a child of ours: it can be killed at any moment of its start.

use std::path::{Path, PathBuf};
use std::process::Command;

use perf::process::Program;

use super::site::BROKER;

const PORT: u16 = 9092;

/// Where it can be reached.
pub(crate) fn url() -> String {
    format!("kafka://{BROKER}:{PORT}")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Lays out its directory: properties, and a formatted log directory.
pub(crate) fn format(directory: &Path) {
    let fetched = Command::new(root().join("deploy/kafka/broker")).arg("fetch").status().unwrap();
    assert!(fetched.success(), "no Kafka: see deploy/kafka/broker fetch");
    std::fs::write(directory.join("server.properties"), properties(directory)).unwrap();
    let id = uuid::Uuid::new_v4().simple().to_string();
    let mut tool = java(Command::new("java"), directory, "kafka.tools.StorageTool");
    // A cluster's id is 22 letters of Base64, of which hexadecimal digits are some.
    tool.args(["format", "-t", &id[..22], "-c"]).arg(directory.join("server.properties"));
    let output = tool.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The broker itself, by a command that runs what follows it in the broker's namespace.
pub(crate) fn program(mut command: Command, directory: &Path) -> Program {
    command.arg("java");
    let command = java(command, directory, "kafka.Kafka");
    Program::foreign("broker", command).args([directory.join("server.properties")])
}

/// A small heap and the quick compiler: it lives for minutes.
fn java(mut command: Command, directory: &Path, class: &str) -> Command {
    let root = root();
    command
        .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(format!("-Dlog4j2.configurationFile={}", root.join("deploy/kafka/log4j2.properties").display()))
        .arg(format!("-Dgannet.kafka.log={}", directory.with_extension("log").display()))
        .arg("-cp")
        .arg(root.join(".cache/kafka/libs/*"))
        .arg(class);
    command
}

/// One broker: nothing can be replicated, and few internal partitions start faster. Whoever vanished is given up soon.
fn properties(directory: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://{BROKER}:{PORT},CONTROLLER://127.0.0.1:9093
advertised.listeners=PLAINTEXT://{BROKER}:{PORT}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.segment.bytes=16777216
log.index.size.max.bytes=65536
",
        data = directory.join("data").display()
    )
}
