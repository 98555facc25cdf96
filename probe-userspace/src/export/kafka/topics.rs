//! The topics: looked up, and made when they are missing. How many partitions they have is read once a connection and kept:
//! a stream stays on its partition, since `stream % partitions` of a count that grows would move it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use flow_wire::bus::Kind;
use flow_wire::stamp::StreamId;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer, ThreadedProducer};

use super::Options;
use super::client::{Context, patiently};
use super::failure::Failure;

/// Time for a broker to make a topic.
const CALL: Duration = Duration::from_secs(10);

/// So often it is looked whether the run has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Time for a new topic to be known everywhere.
const SETTLE: Duration = Duration::from_secs(10);

/// The ledger is a message a second and probe: one partition keeps it in one order.
const LEDGER_PARTITIONS: u16 = 1;

/// A topic that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: String,
    /// At least one.
    pub(super) partitions: u32,
}

impl Topic {
    /// The partition of a stream, the same for as long as this connection lasts.
    pub(super) fn partition(&self, stream: StreamId) -> i32 {
        // Below the count of partitions, which is an i32 on the wire.
        (u32::from(stream.0) % self.partitions) as i32
    }
}

/// Finds the topic, or makes it.
pub(super) fn ensure(
    producer: &ThreadedProducer<Context>,
    config: &ClientConfig,
    kind: Kind,
    options: &Options,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<Topic, Failure> {
    let name = kind.topic(&options.prefix);
    if let Some(topic) = find(producer, &name, is_over)? {
        return Ok(topic);
    }
    let wanted = if kind == Kind::Ledger { LEDGER_PARTITIONS } else { options.partitions.max(1) };
    make(config, &name, wanted, options, is_over)?;
    let until = Instant::now() + SETTLE;
    while Instant::now() < until && !is_over() {
        if let Some(topic) = find(producer, &name, is_over)? {
            return Ok(topic);
        }
        std::thread::park_timeout(LOOK);
    }
    Err(Failure::Away(format!("topic '{name}' was made, but no broker leads it yet")))
}

/// All topics are asked for: to ask for one by its name would make it on brokers that create topics by themselves, with
/// their number of partitions.
fn find(
    producer: &ThreadedProducer<Context>,
    name: &str,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<Option<Topic>, Failure> {
    let failed = |error| Failure::of(&error, &producer.context().notes.last());
    let metadata = patiently(is_over, |time| producer.client().fetch_metadata(None, time)).map_err(failed)?;
    let found = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none());
    let led = found.filter(|topic| {
        let partitions = topic.partitions();
        !partitions.is_empty() && partitions.iter().all(|partition| partition.leader() >= 0)
    });
    Ok(led.map(|topic| Topic { name: name.to_owned(), partitions: topic.partitions().len() as u32 }))
}

fn make(
    config: &ClientConfig,
    name: &str,
    partitions: u16,
    options: &Options,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<(), Failure> {
    let refused = |reason: String| Failure::Topic { topic: name.to_owned(), reason, partitions };
    // -1 is the broker's default (KIP-464).
    let replication = options.replication.map_or(-1, i32::from);
    let topic = NewTopic::new(name, i32::from(partitions), TopicReplication::Fixed(replication));
    let mut config = config.clone();
    for key in ["transactional.id", "transaction.timeout.ms"] {
        config.remove(key);
    }
    let admin = AdminClient::<DefaultClientContext>::from_config(&config)
        .map_err(|error| refused(error.to_string()))?;
    let limits = AdminOptions::new().request_timeout(Some(CALL)).operation_timeout(Some(CALL));
    let answer = wait(admin.create_topics([&topic], &limits), is_over);
    let answer = answer.unwrap_or(Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)));
    let results = answer.map_err(|error| match error {
        KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut) => Failure::of(&error, ""),
        other => refused(other.to_string()),
    })?;
    for result in results {
        match result {
            // Another probe was faster.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {
                tracing::info!(topic = name, partitions, "topic made");
            }
            Err((_, code)) => return Err(refused(code.to_string())),
        }
    }
    Ok(())
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

    #[test]
    fn a_stream_stays_on_its_partition() {
        let topic = Topic { name: "gannet.flow".to_owned(), partitions: 4 };
        let partitions: Vec<_> = (0..6).map(|stream| topic.partition(StreamId(stream))).collect();
        assert_eq!(partitions, [0, 1, 2, 3, 0, 1]);
        assert_eq!(topic.partition(StreamId::CONTROL), 3);
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
