//! Making a topic as it was asked for, and telling how one that is there differs.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use flow_wire::bus::Kind;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::failure::Failure;
use super::{Options, PARTITIONS};

/// Time for a broker to answer.
const CALL: Duration = Duration::from_secs(10);

/// So often it is looked whether the run has ended.
const LOOK: Duration = Duration::from_millis(100);

/// The ledger is a message a second and probe: one partition keeps it in one order.
const LEDGER_PARTITIONS: u16 = 1;

/// Kafka's name of the option.
const RETENTION: &str = "retention.ms";

/// A topic as it should be.
pub(super) struct Wanted {
    pub(super) name: String,
    partitions: u16,
    /// Somebody said so: then another number is worth a word.
    is_asked: bool,
    replication: Option<u16>,
    pub(super) retention: Option<Duration>,
}

impl Wanted {
    pub(super) fn new(kind: Kind, options: &Options) -> Self {
        let (partitions, is_asked) = match kind {
            Kind::Ledger => (LEDGER_PARTITIONS, false),
            Kind::Flows => (options.partitions.unwrap_or(PARTITIONS).max(1), options.partitions.is_some()),
        };
        let (replication, retention) = (options.replication, options.retention);
        Self { name: kind.topic(&options.prefix), partitions, is_asked, replication, retention }
    }

    /// A topic of the user's, made as our own topic of flows would be.
    pub(super) fn named(name: &str, options: &Options) -> Self {
        Self { name: name.to_owned(), ..Self::new(Kind::Flows, options) }
    }

    /// How a topic that is there differs.
    pub(super) fn differences(&self, partitions: u32, replicas: usize) -> Vec<String> {
        let (name, wanted) = (&self.name, self.partitions);
        let mut differences = Vec::new();
        if self.is_asked && partitions < u32::from(wanted) {
            differences.push(format!(
                "topic '{name}' has {partitions} partitions, --topic-partitions asks for {wanted}: kafka-topics.sh --alter \
                 --topic {name} --partitions {wanted}, then start the probe again"
            ));
        }
        if self.is_asked && partitions > u32::from(wanted) {
            differences.push(format!(
                "topic '{name}' has {partitions} partitions, --topic-partitions asks for {wanted}: Kafka takes none away; \
                 all of them are used"
            ));
        }
        if let Some(wanted) = self.replication.filter(|wanted| usize::from(*wanted) != replicas) {
            differences.push(format!(
                "topic '{name}' has {replicas} replicas, --topic-replication asks for {wanted}: \
                 kafka-reassign-partitions.sh changes it"
            ));
        }
        differences
    }

    /// How its retention differs from `asked`; `found` is what the broker says, or why it does not.
    pub(super) fn retention_difference(
        &self,
        asked: Duration,
        found: Result<String, String>,
    ) -> Option<String> {
        let (name, wanted) = (&self.name, asked.as_millis());
        match found {
            Ok(found) if found == wanted.to_string() => None,
            Ok(found) => Some(format!(
                "topic '{name}' has {RETENTION}={found}, --topic-retention asks for {wanted}: kafka-configs.sh --alter \
                 --entity-type topics --entity-name {name} --add-config {RETENTION}={wanted}"
            )),
            Err(reason) => Some(format!(
                "the retention of topic '{name}' cannot be compared with --topic-retention ({reason}): permit \
                 DescribeConfigs on it"
            )),
        }
    }

    /// The command that makes it.
    fn command(&self) -> String {
        let mut command =
            format!("kafka-topics.sh --create --topic {} --partitions {}", self.name, self.partitions);
        if let Some(replication) = self.replication {
            command += &format!(" --replication-factor {replication}");
        }
        if let Some(retention) = self.retention {
            command += &format!(" --config {RETENTION}={}", retention.as_millis());
        }
        command
    }

    fn refused(&self, code: RDKafkaErrorCode) -> Failure {
        let mend = match code {
            RDKafkaErrorCode::InvalidReplicationFactor => {
                "ask for no more replicas by --topic-replication than there are brokers".to_owned()
            }
            _ => format!("permit Create and Describe on it, or make it: {}", self.command()),
        };
        Failure::Topic { topic: self.name.clone(), reason: code.to_string(), mend }
    }
}

/// Makes a topic.
pub(super) fn make(
    config: &ClientConfig,
    wanted: &Wanted,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<(), Failure> {
    let retention = wanted.retention.map(|retention| retention.as_millis().to_string());
    // -1 is the broker's default (KIP-464).
    let replication = TopicReplication::Fixed(wanted.replication.map_or(-1, i32::from));
    let mut topic = NewTopic::new(&wanted.name, i32::from(wanted.partitions), replication);
    if let Some(retention) = &retention {
        topic = topic.set(RETENTION, retention);
    }
    let unanswered =
        |reason: String| Failure::Away(format!("topic '{}' is not made yet: {reason}", wanted.name));
    let admin = admin(config).map_err(|error| unanswered(error.to_string()))?;
    let Some(answer) = wait(admin.create_topics([&topic], &limits()), is_over) else {
        return Err(unanswered("the run ends".to_owned()));
    };
    let (name, partitions) = (&wanted.name, wanted.partitions);
    for result in answer.map_err(|error| unanswered(error.to_string()))? {
        match result {
            Ok(_) => tracing::info!(topic = name, partitions, retention, "topic made"),
            // Another probe was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(wanted.refused(code)),
        }
    }
    Ok(())
}

/// The retention of a topic, or why it is not known.
pub(super) fn retention(
    config: &ClientConfig,
    topic: &str,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<String, String> {
    let asked = [&ResourceSpecifier::Topic(topic)];
    let text = |error: KafkaError| error.to_string();
    let admin = admin(config).map_err(text)?;
    let answer = wait(admin.describe_configs(asked, &limits()), is_over).ok_or("the run ends")?;
    for resource in answer.map_err(text)? {
        let resource = resource.map_err(|code| code.to_string())?;
        let entry = resource.entries.into_iter().find(|entry| entry.name == RETENTION);
        if let Some(value) = entry.and_then(|entry| entry.value) {
            return Ok(value);
        }
    }
    Err("the broker does not say".to_owned())
}

fn admin(config: &ClientConfig) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    let mut config = config.clone();
    for key in ["transactional.id", "transaction.timeout.ms"] {
        config.remove(key);
    }
    AdminClient::from_config(&config)
}

fn limits() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CALL)).operation_timeout(Some(CALL))
}

/// Waits for librdkafka's answer, which comes from its own thread within the request's time-out; `None` = the run ended
/// before.
fn wait<F: Future>(future: F, is_over: &mut dyn FnMut() -> bool) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            Poll::Ready(output) => return Some(output),
            Poll::Pending if is_over() => return None,
            Poll::Pending => std::thread::park_timeout(LOOK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(partitions: Option<u16>) -> Wanted {
        let retention = Some(Duration::from_secs(3_600));
        Wanted::new(
            Kind::Flows,
            &Options { partitions, replication: Some(3), retention, ..Options::default() },
        )
    }

    #[test]
    fn only_what_was_asked_for_can_differ() {
        assert_eq!(wanted(Some(4)).differences(4, 3), [""; 0]);
        assert_eq!(wanted(None).differences(1, 3), [""; 0]);
        let fewer = wanted(Some(4)).differences(1, 1);
        assert!(fewer[0].contains("--partitions 4") && fewer[1].contains("has 1 replicas"), "{fewer:?}");
        assert!(wanted(Some(4)).differences(5, 3)[0].contains("Kafka takes none away"));
        let ledger = Wanted::new(Kind::Ledger, &Options { partitions: Some(9), ..Options::default() });
        assert_eq!(ledger.differences(1, 1), [""; 0]);
    }

    #[test]
    fn retention_is_compared_where_the_broker_tells() {
        let hour = Duration::from_secs(3_600);
        let compare = |found| wanted(None).retention_difference(hour, found);
        assert_eq!(compare(Ok("3600000".to_owned())), None);
        assert!(compare(Ok("-1".to_owned())).unwrap().contains("--add-config retention.ms=3600000"));
        assert!(compare(Err("denied".to_owned())).unwrap().contains("permit DescribeConfigs"));
    }

    #[test]
    fn a_topic_that_cannot_be_made_comes_with_the_command_that_makes_it() {
        let said = wanted(Some(2)).refused(RDKafkaErrorCode::TopicAuthorizationFailed).to_string();
        let command = "kafka-topics.sh --create --topic gannet.flow --partitions 2 --replication-factor 3 \
                       --config retention.ms=3600000";
        assert!(said.ends_with(command), "{said}");
        let said = wanted(None).refused(RDKafkaErrorCode::InvalidReplicationFactor).to_string();
        assert!(said.contains("--topic-replication"), "{said}");
    }

    #[test]
    fn an_answer_of_another_thread_is_waited_for() {
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let mut first = true;
        let thread = std::thread::spawn(move || receiver.recv().unwrap().wake());
        let future = std::future::poll_fn(|context| {
            if std::mem::take(&mut first) {
                sender.send(context.waker().clone()).unwrap();
                return Poll::Pending;
            }
            Poll::Ready(7)
        });
        let answer = wait(future, &mut || false);
        thread.join().unwrap();
        assert_eq!(answer, Some(7));
    }

    #[test]
    fn an_answer_that_never_comes_is_waited_for_until_the_end() {
        let mut looks = 0;
        let answer = wait(std::future::pending::<()>(), &mut || {
            looks += 1;
            looks == 3
        });
        assert_eq!((answer, looks), (None, 3));
    }
}
