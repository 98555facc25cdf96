//! librdkafka's producer with our settings, and what its own threads report.

use std::time::{Duration, Instant};

use flow_wire::endpoint;
use flow_wire::kafka_conf::is_secret;
use flow_wire::ledger::Guarantee;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};

use super::failure::Failure;
use super::notes::{Context, Notes, Producing};
use super::outlet::Outlet;
use super::place::Place;

/// Time after which the broker aborts a transaction that its producer left open: so long a killed probe holds up readers of
/// committed messages.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Time for one answer of a broker, slow lines and TLS included; then the connection is made anew.
const CALL: Duration = Duration::from_secs(10);

/// Where the first brokers are.
const SERVERS: &str = "bootstrap.servers";

/// The part of it after which it is looked whether the run has ended.
const TRY: Duration = Duration::from_millis(200);

/// A connected producer.
pub(super) struct Client {
    pub(super) producer: Producing,
    pub(super) transactional: bool,
    /// After it the coordinator aborts what is open.
    pub(super) transaction_timeout: Duration,
    /// Where the broker keeps the spool's cursor; `None` = there is none, or it is not permitted.
    pub(super) place: Option<Place>,
    /// What becomes of a batch.
    pub(super) outlet: Outlet,
}

impl Client {
    /// Connects, opens the outlet, and closes what a former run with this identity left open.
    pub(super) fn connect(
        config: &[(String, String)],
        transactional: bool,
        open: impl FnOnce(&Producing, &ClientConfig, &mut dyn FnMut() -> bool) -> Result<Outlet, Failure>,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Self, Failure> {
        let config = client_config(config);
        let producer = Producing::from_config_and_context(&config, Context::default())
            .map_err(|error| Failure::of(&error, None))?;
        let outlet = open(&producer, &config, is_over)?;
        if transactional {
            patiently(is_over, |time| producer.init_transactions(time))
                .map_err(|error| Failure::of(&error, producer.context().notes.connection()))?;
        }
        let transaction_timeout = transaction_timeout(&config);
        Ok(Self { producer, transactional, transaction_timeout, place: None, outlet })
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.producer.context().notes
    }

    /// How the topics differ from what was asked for.
    pub(super) fn differences(&self) -> impl Iterator<Item = &String> {
        self.outlet.topics().into_iter().flat_map(|topic| &topic.differences)
    }

    /// For people: topics, and by which rule partitions are chosen.
    pub(super) fn describe(&self, guarantee: Guarantee) -> String {
        let how = match guarantee {
            Guarantee::ExactlyOnce => "exactly once",
            Guarantee::AtLeastOnce => "at least once",
            Guarantee::AtMostOnce => "at most once",
        };
        format!("{how}; {}", self.outlet.describe())
    }
}

/// Calls again while the answer is not there yet: librdkafka goes on with what it began.
pub(super) fn patiently<T>(
    is_over: &mut dyn FnMut() -> bool,
    mut call: impl FnMut(Duration) -> KafkaResult<T>,
) -> KafkaResult<T> {
    let until = Instant::now() + CALL;
    loop {
        match call(TRY) {
            Err(error) if is_unanswered(&error) && Instant::now() < until && !is_over() => {}
            result => return result,
        }
    }
}

/// Within so short a time "no broker yet" is no answer either.
fn is_unanswered(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(cause) => cause.is_retriable(),
        other => matches!(
            other.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::RequestTimedOut
                    | RDKafkaErrorCode::BrokerTransportFailure
            )
        ),
    }
}

/// Settings that every producer of ours has. Nothing times out by itself: batches belong to the outbox, and go until they
/// are committed or the run ends.
pub(super) fn settings(endpoint: &endpoint::Kafka, protocol: &str) -> Vec<(String, String)> {
    [
        (SERVERS, endpoint.bootstrap_servers().as_str()),
        ("security.protocol", protocol),
        ("client.id", "gannet-probe"),
        ("acks", "all"),
        ("message.timeout.ms", "0"),
        ("compression.codec", "zstd"),
        // One transaction is in flight at a time; this bounds what librdkafka copies of it.
        ("queue.buffering.max.kbytes", "65536"),
        ("linger.ms", "5"),
        // A broker that restarts is back within seconds.
        ("reconnect.backoff.max.ms", "2000"),
        ("log_level", "4"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

/// Whether librdkafka takes the settings, certificates and keys among them: a producer is made, which connects to nobody.
pub(super) fn check(config: &[(String, String)]) -> Result<(), String> {
    let mut config = client_config(config);
    config.remove(SERVERS);
    let made = BaseProducer::<Context>::from_config_and_context(&config, Context::default());
    made.map(|_| ()).map_err(|error| match error {
        // The value may be a secret, and then so is what librdkafka says of it.
        KafkaError::ClientConfig(_, _, key, _) if is_secret(&key) => {
            format!("{key} has a value that it does not take")
        }
        KafkaError::ClientConfig(_, reason, key, _) => format!("{key}: {reason}"),
        KafkaError::ClientCreation(reason) => reason,
        other => other.to_string(),
    })
}

/// The user may have another one.
fn transaction_timeout(config: &ClientConfig) -> Duration {
    let asked = config.get("transaction.timeout.ms").and_then(|text| text.parse().ok());
    asked.map_or(TRANSACTION_TIMEOUT, Duration::from_millis)
}

/// Other names of settings that we make: pairs lie in no order on their way to librdkafka, and of two names either would win.
const ALIASES: [(&str, &str); 8] = [
    ("acks", "request.required.acks"),
    ("compression.codec", "compression.type"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
    ("message.send.max.retries", "retries"),
    (SERVERS, "metadata.broker.list"),
];

/// The last one of a setting wins, by whatever name.
pub(super) fn client_config(pairs: &[(String, String)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in pairs {
        let name = ALIASES.iter().find(|(_, alias)| alias == key).map_or(key.as_str(), |(name, _)| name);
        config.set(name, value);
    }
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}
