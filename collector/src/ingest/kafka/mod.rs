//! Kafka: committed messages of all partitions, from where the store says.
//!
//! ```text
//! topics   which partitions there are; waited for, looked at again
//! resume   where to begin: at the last message taken in, which must still be the same one
//! progress how far librdkafka has read: what drained means
//! backlog  what is said while there is much to read
//! ```
//! The group is a name only (the store's UUID): nothing is committed to the broker, the store's own transaction is the
//! only place that knows. Two collectors of different stores each read everything.

mod backlog;
mod progress;
mod resume;
mod topics;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use flow_wire::endpoint::{self, Endpoint};
use flow_wire::header::Header;
use flow_wire::kafka_conf::KafkaConf;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message};

use self::backlog::Backlog;
use self::progress::{Context, Drain};
use self::resume::{Last, Reading};
use super::input::{Error, Feed, Gone, Input, Stop};
use super::message::read;
use super::status::InputState;
use crate::store::{Bus, Offset};

/// How long one poll waits before it looks whether to stop.
const POLL: Duration = Duration::from_millis(200);

/// Between two looks for new partitions, and for topics that are not there yet.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Between two looks whether everything was read.
const DRAIN_EVERY: Duration = Duration::from_secs(1);

/// Time without a broker after which librdkafka's client is made anew: once in some hundred restarts of a broker a client did not
/// see it come back within a minute, while others did.
const RENEW_AFTER: Duration = Duration::from_secs(15);

/// How long a question to the broker may take.
const BROKER_ANSWER: Duration = Duration::from_secs(5);

/// For the next question to the broker. None is asked any more once it is to stop, so that a stop waits for one answer at most: it
/// has ten seconds for all.
fn answer_within(stop: &Stop) -> KafkaResult<Duration> {
    if stop.is_set() { Err(KafkaError::Canceled) } else { Ok(BROKER_ANSWER) }
}

/// One cluster.
pub struct Kafka {
    name: String,
    prefix: String,
    config: ClientConfig,
    stored: OffsetsOf,
}

/// Asks the store how far a cluster was read.
pub type OffsetsOf = Box<dyn Fn(&str) -> Vec<Offset> + Send>;

impl Kafka {
    /// Inert until run. `group` is the store's UUID; `stored` gives its offsets for a cluster.
    pub fn new(
        endpoint: endpoint::Kafka,
        prefix: &str,
        group: uuid::Uuid,
        settings: &KafkaConf,
        stored: OffsetsOf,
    ) -> Self {
        let mut config = config(&endpoint, group);
        // One that contradicts the URL was refused with the configuration.
        if let Ok(protocol) = settings.security_protocol(&endpoint) {
            config.set("security.protocol", protocol);
        }
        for (key, value) in settings.pairs() {
            config.set(key, value);
        }
        Self { name: Endpoint::Kafka(endpoint).to_string(), prefix: prefix.to_owned(), config, stored }
    }
}

fn config(endpoint: &endpoint::Kafka, group: uuid::Uuid) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", endpoint.bootstrap_servers())
        .set("client.id", "gannet-collector")
        .set("group.id", format!("gannet-collector-{group}"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        // An offset that is not there is for us to judge, never to be jumped over.
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("check.crcs", "true")
        // How long a fetch may wait for data: new partitions join with the next one.
        .set("fetch.wait.max.ms", "100")
        // What librdkafka fetches ahead, in memory.
        .set("queued.max.messages.kbytes", "65536")
        .set("statistics.interval.ms", "500");
    config
}

impl Input for Kafka {
    fn run(self: Box<Self>, feed: Feed, stop: Stop) -> Result<(), Error> {
        let failed = |cause| Error::Kafka { endpoint: self.name.clone(), cause };
        let consumer = self.client(&feed).map_err(failed)?;
        feed.status.set(InputState::Waiting, "waiting for a broker");
        let Some(cluster) = topics::cluster(&consumer, &stop) else { return Ok(()) };
        let stored = (self.stored)(&cluster);
        let mut session = Session {
            kafka: &self,
            consumer: Rc::new(consumer),
            feed: &feed,
            stop: &stop,
            cluster,
            stored,
            unanswered: None,
            is_renewed: false,
            reading: HashMap::new(),
            drain: Drain::default(),
            backlog: Backlog::default(),
        };
        // The writer is gone: it said why itself.
        let _: Result<(), Gone> = session.run();
        Ok(())
    }
}

/// One run: what is assigned, and how far it is.
struct Session<'a> {
    kafka: &'a Kafka,
    consumer: Rc<BaseConsumer<Context>>,
    feed: &'a Feed,
    stop: &'a Stop,
    cluster: String,
    stored: Vec<Offset>,
    /// Since when no broker tells of its topics.
    unanswered: Option<Instant>,
    /// It has another client since then: said once.
    is_renewed: bool,
    reading: HashMap<(String, i32), Reading>,
    drain: Drain,
    backlog: Backlog,
}

impl Kafka {
    fn client(&self, feed: &Feed) -> KafkaResult<BaseConsumer<Context>> {
        self.config.create_with_context(Context::new(feed.status.clone()))
    }
}

impl Session<'_> {
    fn run(&mut self) -> Result<(), Gone> {
        let (mut looked, mut drain_looked) = (None::<Instant>, None::<Instant>);
        while !self.stop.is_set() {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
                self.look_for_partitions();
                looked = Some(Instant::now());
            }
            let consumer = Rc::clone(&self.consumer);
            match consumer.poll(POLL) {
                Some(Ok(message)) => self.take(&message)?,
                Some(Err(error)) => self.judge(&error),
                None => self.tell_if_drained()?,
            }
            if drain_looked.is_none_or(|looked| looked.elapsed() >= DRAIN_EVERY) {
                // A busy bus gives no empty poll.
                self.tell_if_drained()?;
                let shorter = self.drain.ask(&self.consumer, &self.reading, self.stop);
                self.leave(|key| shorter.contains(key));
                self.tell_backlog();
                drain_looked = Some(Instant::now());
            }
        }
        self.say_what_is_left();
        Ok(())
    }

    fn tell_backlog(&mut self) {
        let left = self.drain.left(self.consumer.context(), &self.reading);
        if let Some(sentence) = self.backlog.tick(Instant::now(), left) {
            tracing::info!(input = self.kafka.name, "{sentence}");
        }
    }

    /// At the stop, as far as it is known without asking a broker that may be away.
    fn say_what_is_left(&self) {
        let left = self.drain.left(self.consumer.context(), &self.reading);
        if left > 0 {
            let input = &self.kafka.name;
            tracing::info!(
                input,
                "stopped with about {left} offsets unread: Kafka keeps them, and the next start goes on there"
            );
        }
    }

    fn tell_if_drained(&mut self) -> Result<(), Gone> {
        match self.drain.confirmed(self.consumer.context(), &self.reading) {
            Some(asked_nanoseconds) => self.feed.drained(asked_nanoseconds),
            None => Ok(()),
        }
    }

    /// Begins to read partitions that are not read yet.
    fn look_for_partitions(&mut self) {
        let found = match topics::partitions(&self.consumer, &self.kafka.prefix, self.stop) {
            Ok(found) => found,
            Err(error) => {
                self.feed.status.set(InputState::Waiting, format!("waiting for a broker: {error}"));
                return self.renew_if_forgotten();
            }
        };
        (self.unanswered, self.is_renewed) = (None, false);
        self.leave(|(topic, _)| found.missing.contains(topic));
        let begun = self.begin(found.there);
        self.drain.complete(begun.is_ok() && found.missing.is_empty());
        let missing = found.missing.join(" and ");
        match begun {
            Err(detail) => self.feed.status.set(InputState::Waiting, detail),
            Ok(()) if found.missing.is_empty() => {
                let partitions = self.reading.len();
                self.feed.status.set(InputState::Running, format!("reading {partitions} partitions"));
            }
            Ok(()) => {
                let detail = match found.denied {
                    true => {
                        format!("the broker does not permit topic {missing}: permit Read and Describe on it")
                    }
                    false => format!("waiting for topic {missing}: probes make topics at their start"),
                };
                self.feed.status.set(InputState::Waiting, detail);
            }
        }
    }

    /// The client may be at fault, and not the broker: another one begins where this one has come to.
    fn renew_if_forgotten(&mut self) {
        let since = *self.unanswered.get_or_insert_with(Instant::now);
        if since.elapsed() < RENEW_AFTER {
            return;
        }
        self.unanswered = None;
        match self.kafka.client(self.feed) {
            Ok(consumer) => {
                self.leave(|_| true);
                self.consumer = Rc::new(consumer);
                if !std::mem::replace(&mut self.is_renewed, true) {
                    let (input, seconds) = (&self.kafka.name, RENEW_AFTER.as_secs());
                    tracing::info!(
                        input,
                        "no broker for {seconds} s: asking with a new client, and so on each {seconds} s"
                    );
                }
            }
            Err(error) => tracing::warn!(input = self.kafka.name, "no new client: {error}"),
        }
    }

    /// Begins to read those that are not read yet, all at once: each change of the assignment costs a round of fetches.
    fn begin(&mut self, there: Vec<(String, i32)>) -> Result<(), String> {
        let (mut begun, mut result) = (Vec::new(), Ok(()));
        for key in there.into_iter().filter(|key| !self.reading.contains_key(key)) {
            let known = |offset: &&Offset| (&offset.topic, offset.partition) == (&key.0, key.1);
            match resume::begin(&self.consumer, &key, self.stored.iter().find(known), self.stop) {
                Ok((from, reading)) => begun.push((key, from, reading)),
                Err(error) => {
                    result = Err(format!("waiting for partition {} of topic {}: {error}", key.1, key.0));
                    // A broker that does not answer is asked for one partition at a time: a stop must not wait for all.
                    break;
                }
            }
        }
        if !begun.is_empty() {
            let starts = begun.iter().map(|(key, from, _)| (key, *from));
            resume::assign(&self.consumer, starts)
                .map_err(|error| format!("waiting for librdkafka: {error}"))?;
            self.drain.anew();
            for (key, from, reading) in begun {
                self.note_expiry(&key, from, &reading);
                self.reading.insert(key, reading);
            }
        }
        result
    }

    /// Notes that something unread is gone, before what comes behind it: nothing may ever come.
    fn note_expiry(&mut self, (topic, partition): &(String, i32), from: i64, reading: &Reading) {
        let expiry = reading.expiry();
        if reading.last().is_some() || expiry.below != from {
            return;
        }
        let offset = Offset {
            cluster: self.cluster.clone(),
            topic: topic.clone(),
            partition: *partition,
            last: from - 1,
            mark: None,
            expiry,
        };
        // Where it begins again before a message came, it is this same expiry.
        self.remember(offset.clone());
        // A writer that is gone is found at the next message.
        let _: Result<(), Gone> = self.feed.position(offset);
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Gone> {
        let body = message.payload().unwrap_or_default();
        let header =
            Header::from_pairs(message.headers().into_iter().flat_map(|headers| {
                headers.iter().map(|header| (header.key, header.value.unwrap_or_default()))
            }));
        let mut arrived = read(Bus::Kafka, &self.kafka.name, header, body);
        let key = (message.topic().to_owned(), message.partition());
        let Some(reading) = self.reading.get_mut(&key) else { return Ok(()) };
        match reading.judge(message.offset(), arrived.mark()) {
            resume::Verdict::New { reread } => {
                if let Some(arrival) = &mut arrived.arrival {
                    self.backlog.read(arrival.records);
                    arrival.reread = reread;
                    arrival.place.partition = Some(key.1);
                    arrival.place.expiry = reading.expiry();
                }
            }
            resume::Verdict::TakenBefore => return Ok(()),
            resume::Verdict::AnotherLog => {
                self.read_anew(&key);
                return Ok(());
            }
        }
        arrived.offset = Some(Offset {
            cluster: self.cluster.clone(),
            mark: arrived.mark(),
            expiry: reading.expiry(),
            last: message.offset(),
            partition: key.1,
            topic: key.0,
        });
        self.drain.taken();
        self.feed.message(arrived)
    }

    /// The log is not the one that the offset is of: everything in it is read, and what is stored already is known by
    /// its stamp.
    fn read_anew(&mut self, key: &(String, i32)) {
        tracing::warn!(
            topic = key.0,
            partition = key.1,
            "the log is a new one: reading it from its beginning; what is stored already is recognised by its stamp"
        );
        self.drain.anew();
        match resume::from_beginning(&self.consumer, key, self.stop) {
            Ok(reading) => {
                self.reading.insert(key.clone(), reading);
            }
            Err(error) => {
                tracing::warn!(topic = key.0, partition = key.1, "seek failed, trying again: {error}");
                self.reading.remove(key);
                resume::leave(&self.consumer, &key.0, key.1);
            }
        }
    }

    /// What librdkafka reports between messages.
    fn judge(&mut self, error: &KafkaError) {
        let KafkaError::MessageConsumption(code) = error else {
            return self.feed.status.set(InputState::Waiting, format!("{error}"));
        };
        match code {
            // Partitions come back by themselves; librdkafka keeps trying.
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut => {
                self.feed.status.set(InputState::Waiting, "waiting for the broker to come back");
            }
            // An offset that is not there, a topic that is gone or another one: each partition begins again at the message
            // that was taken in last, if that is there.
            _ => {
                tracing::warn!(
                    input = self.kafka.name,
                    "the broker says: {error}; looking at every partition again"
                );
                self.leave(|_| true);
            }
        }
    }

    /// Reads these partitions no longer. They are looked for again, and begin where they were if it is the same log.
    fn leave(&mut self, of: impl Fn(&(String, i32)) -> bool) {
        let left: Vec<_> = self.reading.extract_if(|key, _| of(key)).collect();
        if !left.is_empty() {
            self.drain.anew();
        }
        for ((topic, partition), reading) in left {
            resume::leave(&self.consumer, &topic, partition);
            if let Some(last) = reading.last() {
                let cluster = self.cluster.clone();
                let (expiry, Last { offset, mark }) = (reading.expiry(), last);
                self.remember(Offset { cluster, topic, partition, last: offset, mark, expiry });
            }
        }
    }

    /// Where a partition begins again.
    fn remember(&mut self, offset: Offset) {
        self.stored.retain(|known| (&known.topic, known.partition) != (&offset.topic, offset.partition));
        self.stored.push(offset);
    }
}
