//! `ntop.sendKafkaMessage("brokers;topic;options", message)`

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flow_wire::endpoint::{Endpoint, Kafka as Cluster};
use mlua::{Lua, LuaString, Table};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use super::super::child::Context;
use super::super::protocol::Kafka as Counts;
use super::super::settings::Allowed;

/// Clusters and options of one script: each producer is two threads.
const PRODUCERS_MAX: usize = 16;

/// Kinds of failures that are told, of one script.
const FAILURES_MAX: usize = 32;

/// What every producer has, unless the operator or the script says otherwise.
const DEFAULTS: [(&str, &str); 3] = [
    ("message.timeout.ms", "30000"),
    ("queue.buffering.max.kbytes", "65536"),
    ("client.id", "gannet-script"),
];

/// Settings that run something else: a library, a command.
const REFUSED: [&str; 2] = ["plugin.library.paths", "sasl.kerberos.kinit.cmd"];

/// What is going on behind the calls: written by the client's threads.
#[derive(Default)]
struct News {
    counts: Counts,
    under_way: u64,
    /// Those that were told already.
    told: Vec<String>,
    failures: Vec<String>,
}

impl News {
    /// A failure is told once: it comes with each message.
    fn fail(&mut self, failure: String) {
        if !self.told.contains(&failure) && self.told.len() < FAILURES_MAX {
            self.told.push(failure.clone());
            self.failures.push(failure);
        }
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<News>>);

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut News) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Deliveries {
    brokers: String,
    shared: Shared,
}

impl ClientContext for Deliveries {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {
        // What matters comes as an error, and is told once.
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let failure = format!("Kafka at {}: {error}: {reason}", self.brokers);
        // Connections to a broker that is away are refused again and again, with other words each time.
        let kind = format!("Kafka at {}: {error}", self.brokers);
        self.shared.change(|news| {
            if !news.told.contains(&kind) && news.told.len() < FAILURES_MAX {
                news.told.push(kind);
                news.failures.push(failure);
            }
        });
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.shared.change(|news| {
            news.under_way -= 1;
            match result {
                Ok(_) => news.counts.delivered += 1,
                Err((error, message)) => {
                    use rdkafka::Message as _;
                    news.counts.failed += 1;
                    let topic = message.topic();
                    news.fail(format!(
                        "Kafka at {}, topic {topic}: messages were not delivered: {error}",
                        self.brokers
                    ));
                }
            }
        });
    }
}

type Producer = ThreadedProducer<Deliveries>;

/// Those that a script has, by brokers and options as it writes them.
pub(in super::super) struct Producers {
    /// The operator's settings.
    settings: Vec<(String, String)>,
    allowed: Allowed,
    by_target: HashMap<(String, String), Producer>,
    shared: Shared,
}

impl Producers {
    pub(in super::super) fn new(settings: Vec<(String, String)>, allowed: Allowed) -> Self {
        Self { settings, allowed, by_target: HashMap::new(), shared: Shared::default() }
    }

    /// Whether messages are under way, or something is to be told.
    pub(in super::super) fn are_busy(&self) -> bool {
        self.shared.change(|news| {
            news.under_way > 0 || !news.failures.is_empty() || news.counts != Counts::default()
        })
    }

    /// What came since the last call, and failures that were not told yet.
    pub(in super::super) fn take_news(&self) -> (Counts, Vec<String>) {
        self.shared.change(|news| (std::mem::take(&mut news.counts), std::mem::take(&mut news.failures)))
    }

    /// Waits until everything is delivered or failed, at most for so long; the rest has failed then.
    pub(in super::super) fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        for producer in self.by_target.values() {
            // What it does not deliver is counted below.
            let _ = producer.flush(until.saturating_duration_since(Instant::now()));
        }
        self.shared.change(|news| {
            let left = std::mem::take(&mut news.under_way);
            if left > 0 {
                news.counts.failed += left;
                news.fail(format!("{left} messages to Kafka were under way when the script's process ended"));
            }
        });
    }

    /// Queues a message.
    fn send(&mut self, target: &str, message: &[u8]) -> Result<(), String> {
        let sent = self.queue(target, message);
        self.shared.change(|news| match sent {
            Ok(()) => news.counts.queued += 1,
            Err(_) => news.counts.refused += 1,
        });
        sent
    }

    fn queue(&mut self, target: &str, message: &[u8]) -> Result<(), String> {
        let Target { brokers, topic, options } = Target::read(target)?;
        let shared = self.shared.clone();
        let producer = self.producer(brokers, options)?;
        // Before it is handed over: its delivery may be told at once.
        shared.change(|news| news.under_way += 1);
        let refused =
            producer.send(BaseRecord::<(), [u8]>::to(topic).payload(message)).map_err(|(error, _)| error);
        refused.map_err(|error| {
            shared.change(|news| news.under_way -= 1);
            format!("Kafka at {brokers}, topic {topic}: {error}")
        })
    }

    fn producer(&mut self, brokers: &str, options: &str) -> Result<&Producer, String> {
        let key = (brokers.to_owned(), options.to_owned());
        if !self.by_target.contains_key(&key) {
            if self.by_target.len() == PRODUCERS_MAX {
                return Err(format!("a script has {PRODUCERS_MAX} pairs of brokers and options at most"));
            }
            let producer = self.make(brokers, options)?;
            self.by_target.insert(key.clone(), producer);
        }
        self.by_target.get(&key).ok_or_else(|| "no producer".to_owned())
    }

    fn make(&self, brokers: &str, options: &str) -> Result<Producer, String> {
        let cluster = cluster(brokers)?;
        for address in &cluster.brokers {
            if !self.allowed.lets(&address.host, address.port) {
                return Err(format!("--script-allow does not name {address}"));
            }
        }
        let mut config = ClientConfig::new();
        let settings = self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in DEFAULTS.into_iter().chain(settings) {
            config.set(key, value);
        }
        for (key, value) in pairs(options)? {
            if REFUSED.contains(&key.trim()) {
                return Err(format!("option {}: a script may not set it", key.trim()));
            }
            config.set(key.trim(), value.trim());
        }
        if cluster.tls {
            let sasl = config.get("sasl.mechanism").or_else(|| config.get("sasl.mechanisms")).is_some();
            config.set("security.protocol", if sasl { "sasl_ssl" } else { "ssl" });
        }
        // Last: nothing else says where it goes, which --script-allow has looked at.
        config.remove("metadata.broker.list");
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        let context = Deliveries { brokers: brokers.to_owned(), shared: self.shared.clone() };
        // Its message has a key and no value: values may be secrets.
        config.create_with_context(context).map_err(|error| match error {
            KafkaError::ClientConfig(_, why, key, _) => format!("option {key}: {why}"),
            other => other.to_string(),
        })
    }
}

/// `kafka-ssl://` is TLS; without a scheme it is plain.
fn cluster(brokers: &str) -> Result<Cluster, String> {
    let url = if brokers.contains("://") { brokers.to_owned() } else { format!("kafka://{brokers}") };
    match url.parse::<Endpoint>() {
        Ok(Endpoint::Kafka(cluster)) => Ok(cluster),
        Ok(Endpoint::Zmq(_)) => Err(format!("'{brokers}' is no Kafka broker: write host:port")),
        Err(error) => Err(error.to_string()),
    }
}

/// `k=v,k=v`; ntop's page repeats `;k=v` as well.
fn pairs(options: &str) -> Result<Vec<(&str, &str)>, String> {
    let words = options.split([',', ';']).map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            // Not repeated: it may be a password that lacks its key.
            word.split_once('=')
                .ok_or_else(|| "an option of Kafka is not KEY=VALUE: write compression.codec=gzip".to_owned())
        })
        .collect()
}

/// The first argument of the call.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    brokers: &'a str,
    topic: &'a str,
    options: &'a str,
}

impl<'a> Target<'a> {
    fn read(text: &'a str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ';');
        let mut next = || parts.next().unwrap_or_default().trim();
        let (brokers, topic, options) = (next(), next(), next());
        if brokers.is_empty() || topic.is_empty() {
            return Err(
                "the first argument is \"BROKERS;TOPIC;OPTIONS\": write for example \"127.0.0.1;hello;\""
                    .to_owned(),
            );
        }
        Ok(Self { brokers, topic, options })
    }
}

pub(super) fn install(lua: &Lua, ntop: &Table, context: &Rc<Context>) -> mlua::Result<()> {
    let context = Rc::clone(context);
    let send = move |_: &Lua, (target, message): (String, LuaString)| {
        let sent = context.producers.borrow_mut().send(&target, &message.as_bytes());
        Ok((sent.is_ok(), sent.err()))
    };
    ntop.raw_set("sendKafkaMessage", lua.create_function(send)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announcement_s_targets_are_read() {
        let read =
            |text| Target::read(text).map(|target| (target.brokers, target.topic, pairs(target.options)));
        assert_eq!(read("127.0.0.1;hello;"), Ok(("127.0.0.1", "hello", Ok(vec![]))));
        let gzip = vec![("compression.codec", "gzip")];
        assert_eq!(
            read("192.168.1.1;info;compression.codec=gzip"),
            Ok(("192.168.1.1", "info", Ok(gzip.clone())))
        );
        let both = vec![gzip[0], ("acks", "1")];
        for text in ["a,b:1;t;compression.codec=gzip,acks=1", "a,b:1;t;compression.codec=gzip;acks=1;"] {
            assert_eq!(read(text), Ok(("a,b:1", "t", Ok(both.clone()))));
        }
        assert!(read("127.0.0.1").is_err() && read(";hello;").is_err());
        let refusal = pairs("s3cret").unwrap_err();
        assert!(!refusal.contains("s3cret"));
    }

    #[test]
    fn brokers_have_kafka_s_port_and_are_held_against_the_list() {
        assert_eq!(cluster("127.0.0.1").unwrap().bootstrap_servers(), "127.0.0.1:9092");
        assert!(cluster("kafka-ssl://a:9093,b").unwrap().tls && cluster("zmq://a:1").is_err());
        let mut producers = Producers::new(Vec::new(), Allowed(vec!["a:9092".to_owned()]));
        let refused = producers.send("a,b;t;bootstrap.servers=a", b"x").unwrap_err();
        assert_eq!(refused, "--script-allow does not name b:9092");
        assert!(producers.send("a;t;no.such=1", b"x").unwrap_err().contains("no.such"));
        assert!(producers.send("a;t;plugin.library.paths=/x.so", b"x").unwrap_err().contains("may not"));
        assert_eq!(producers.take_news().0, Counts { refused: 3, ..Counts::default() });
    }
}
