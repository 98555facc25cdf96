//! librdkafka's producer with our settings, and what its own threads report.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flow_wire::bus::Kind;
use flow_wire::endpoint;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};

use super::Options;
use super::failure::{Failure, is_for_good};
use super::topics::{self, Topic};

/// Time after which the broker aborts a transaction that its producer left open: so long a killed probe holds up readers of
/// committed messages.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Time for one answer of a broker, slow lines and TLS included; then the connection is made anew.
const CALL: Duration = Duration::from_secs(10);

/// The part of it after which it is looked whether the run has ended.
const TRY: Duration = Duration::from_millis(200);

/// A connected producer.
pub(super) struct Client {
    pub(super) producer: ThreadedProducer<Context>,
    pub(super) transactional: bool,
    /// Number of the sink, for the headers.
    pub(super) sink: u16,
    flow: Topic,
    ledger: Topic,
}

impl Client {
    /// Connects, finds or makes the topics, and closes what a former run with this identity left open.
    pub(super) fn connect(
        config: &[(String, String)],
        transactional: bool,
        sink: u16,
        options: &Options,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Self, Failure> {
        let context = Context::default();
        let notes = context.notes.clone();
        let config = client_config(config);
        let producer = ThreadedProducer::from_config_and_context(&config, context)
            .map_err(|error| Failure::of(&error, ""))?;
        let flow = topics::ensure(&producer, &config, Kind::Flows, options, is_over)?;
        let ledger = topics::ensure(&producer, &config, Kind::Ledger, options, is_over)?;
        if transactional {
            patiently(is_over, |time| producer.init_transactions(time))
                .map_err(|error| Failure::of(&error, &notes.last()))?;
        }
        Ok(Self { producer, transactional, sink, flow, ledger })
    }

    pub(super) fn topic(&self, kind: Kind) -> &Topic {
        match kind {
            Kind::Flows => &self.flow,
            Kind::Ledger => &self.ledger,
        }
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.producer.context().notes
    }

    /// For people: topics, and by which rule partitions are chosen.
    pub(super) fn describe(&self) -> String {
        let how = if self.transactional { "exactly once" } else { "at least once" };
        let (flow, ledger) = (&self.flow, &self.ledger);
        format!(
            "{how}; topic {} with {} partitions (stream modulo partitions), topic {} with {}",
            flow.name, flow.partitions, ledger.name, ledger.partitions
        )
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
pub(super) fn settings(endpoint: &endpoint::Kafka) -> Vec<(String, String)> {
    let protocol = if endpoint.tls { "ssl" } else { "plaintext" };
    [
        ("bootstrap.servers", endpoint.bootstrap_servers().as_str()),
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

/// Whether librdkafka takes the settings.
pub(super) fn check(config: &[(String, String)]) -> Result<(), String> {
    let created = client_config(config).create_native_config().map(|_| ());
    created.map_err(|error| match error {
        KafkaError::ClientConfig(_, reason, key, value) => format!("{key}={value}: {reason}"),
        other => other.to_string(),
    })
}

fn client_config(pairs: &[(String, String)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in pairs {
        config.set(key, value);
    }
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// What librdkafka's threads tell.
#[derive(Default)]
pub(super) struct Context {
    pub(super) notes: Notes,
}

/// Shared with those threads.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    last: String,
    refused: Option<String>,
    failed: Option<String>,
}

impl Notes {
    /// The newest complaint about a connection.
    pub(super) fn last(&self) -> String {
        self.lock().last.clone()
    }

    /// Begins a transaction: nothing of it has failed yet.
    pub(super) fn clear(&self) {
        *self.lock() = Noted::default();
    }

    /// Whether the broker will never take some message, and why.
    pub(super) fn refused(&self) -> Option<String> {
        self.lock().refused.clone()
    }

    /// Whether any message was not delivered, and why.
    pub(super) fn failed(&self) -> Option<String> {
        self.lock().failed.clone()
    }

    pub(super) fn refuse(&self, reason: String) {
        self.lock().refused = Some(reason);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
        self.notes.lock().last = reason.to_owned();
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, _)) = result else { return };
        match error.rdkafka_error_code() {
            Some(code) if is_for_good(code) => self.notes.refuse(error.to_string()),
            _ => self.notes.lock().failed = Some(error.to_string()),
        }
    }
}
