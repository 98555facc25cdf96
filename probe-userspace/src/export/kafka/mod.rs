//! The broker's bus: one transactional producer a probe and sink, so that a reader of committed messages sees every batch
//! once, whatever happens to probe, network or broker.
//!
//! ```text
//! connect   topics (made when missing) ─► init_transactions: what a former run left open is aborted ─► the spool's cursor read back
//! serve     some batches of the cursor ─► one transaction, with the cursor ─┬─ committed ─► acknowledge
//!                                                          ├─ aborted ───► give back, the same batches again
//!                                                          └─ fatal ─────► give back, connect anew
//! ```
//!
//! What a message is: `outlet`. Flows on a topic of the user's (`--kafka`): `flows`, and `registry` for those that need a schema.
//!
//! The sink's thread alone talks to librdkafka, but for the one call that it cannot bound (`place.rs`); a broker that is away fills the
//! outbox, and nothing else.

mod bootstrap;
mod client;
mod failure;
pub mod flows;
mod limit;
mod notes;
mod outlet;
mod place;
pub mod properties;
mod registry;
mod report;
mod topics;
mod transaction;

use std::time::Duration;

use flow_wire::bus::Kind;
use flow_wire::endpoint;
use flow_wire::kafka_conf::KafkaConf;
use flow_wire::ledger::{Discard, Guarantee};
use flow_wire::stamp::ProbeId;

use super::Sink;
use super::outbox::{Cursor, Next};
use bootstrap::Wanted;
use client::Client;
use failure::Failure;
use flows::{Flows, Written};
use limit::Limit;
use notes::Producing;
use outlet::Outlet;
use place::Place;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use report::Reporter;
use transaction::Outcome;

/// Batches and octets of one transaction: enough that its markers weigh nothing, few enough that it ends within the time a
/// drain has, and that librdkafka never has more than it may send at once. That is five requests of a million octets a partition
/// (`RD_KAFKA_IDEMP_MAX_INFLIGHT`, `batch.size`); while more waits behind them, its thread looks again without a pause until the broker
/// answers (2.12, `rd_kafka_toppar_producer_serve`), and burns what the exporter needs in all.
const TRANSACTION_BATCHES: usize = 64;
const TRANSACTION_OCTETS: usize = 4 << 20;

/// The same of flows: a batch becomes a thousand messages, of several times its octets.
const TRANSACTION_BATCHES_OF_FLOWS: usize = 8;

/// So long the cursor is asked for batches before it is looked whether the end has come.
const LOOK: Duration = Duration::from_millis(250);

/// Time between two tries to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// Time before an aborted transaction is tried again: it may fail for the same cause.
const ABORTED_PAUSE: Duration = Duration::from_millis(100);

/// Time before a producer comes back that another one with its identity has pushed aside: else both would do so for ever.
/// At the stop it is tried once more at once: if it was the coordinator's time-out, what is left still goes.
const FENCED_PAUSE: Duration = Duration::from_secs(30);

/// Time that a capture file waits for a broker that takes nothing, then what waits is discarded: longer than a broker needs
/// to restart, and the run still ends by itself.
pub const PATIENCE_FOR_FILES: Duration = Duration::from_secs(60);

/// Options of a Kafka sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// First part of the topics' names.
    pub prefix: String,
    /// Partitions of the flow topic where the probe makes it: what collectors can share; `None` = [`PARTITIONS`].
    pub partitions: Option<u16>,
    /// Replicas of each topic where the probe makes it; `None` = the broker's default.
    pub replication: Option<u16>,
    /// How long each topic keeps messages where the probe makes it; `None` = the broker's default.
    pub retention: Option<Duration>,
    /// Further settings of librdkafka, which win over ours.
    pub settings: KafkaConf,
}

/// Partitions of a flow topic for which nobody asked for another number.
pub const PARTITIONS: u16 = 4;

impl Default for Options {
    fn default() -> Self {
        let prefix = flow_wire::bus::TOPIC_PREFIX.to_owned();
        Self { prefix, partitions: None, replication: None, retention: None, settings: KafkaConf::default() }
    }
}

/// The sink. Nothing is connected before its thread runs.
pub struct Kafka {
    name: String,
    endpoint: endpoint::Kafka,
    protocol: String,
    probe: ProbeId,
    options: Options,
    patience: Option<Duration>,
    /// `None` = our own batches, on our own topics.
    flows: Option<Written>,
}

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka does not take one.
    #[error("{name}: librdkafka refuses the settings: {reason}")]
    Refused {
        /// Which sink.
        name: String,
        /// Without any secret.
        reason: String,
    },
    /// One contradicts the URL.
    #[error(transparent)]
    Conf(#[from] flow_wire::kafka_conf::Error),
    /// The template cannot be written in this format.
    #[error("-T: {0}")]
    Template(#[from] flow_wire::generic::Error),
}

impl Kafka {
    /// Checks the settings; a broker is not needed yet.
    ///
    /// # Errors
    /// librdkafka does not know a setting, or not its value; a setting turns the TLS of the URL off.
    pub fn new(endpoint: &endpoint::Kafka, probe: ProbeId, options: Options) -> Result<Self, Error> {
        let name = endpoint::Endpoint::Kafka(endpoint.clone()).to_string();
        Self::checked(name, endpoint, (probe, options), None)
    }

    /// The same for flows on a topic of the user's.
    ///
    /// # Errors
    /// Likewise, or the format cannot have the template's fields.
    pub fn of_flows(flows: Flows, probe: ProbeId, options: Options) -> Result<Self, Error> {
        let (name, endpoint) = (flows.destination.name(), flows.destination.brokers.clone());
        Self::checked(name, &endpoint, (probe, options), Some(Written::new(flows)?))
    }

    fn checked(
        name: String,
        endpoint: &endpoint::Kafka,
        (probe, options): (ProbeId, Options),
        flows: Option<Written>,
    ) -> Result<Self, Error> {
        let protocol = options.settings.security_protocol(endpoint)?.to_owned();
        let endpoint = endpoint.clone();
        let sink = Self { name, endpoint, protocol, probe, options, patience: None, flows };
        match client::check(&sink.config(sink.is_transactional())) {
            Ok(()) => Ok(sink),
            Err(reason) => Err(Error::Refused { name: sink.name, reason }),
        }
    }

    /// Waits at most so long for a broker that takes nothing. An interface never ends, and waits as long as it takes; a
    /// capture file ends by itself.
    #[must_use]
    pub fn with_patience(mut self, patience: Option<Duration>) -> Self {
        self.patience = patience;
        self
    }

    /// Settings of the producer. `transactional` = as it should be, else as a broker without that right takes it.
    fn config(&self, transactional: bool) -> Vec<(String, String)> {
        let mut config = client::settings(&self.endpoint, &self.protocol);
        config.extend(self.flows.iter().flat_map(|written| written.destination().settings()));
        if transactional {
            let id = format!("gannet/{}", self.identity());
            config.push(("transactional.id".to_owned(), id));
            config.push((
                "transaction.timeout.ms".to_owned(),
                client::TRANSACTION_TIMEOUT.as_millis().to_string(),
            ));
        }
        config.extend(self.options.settings.pairs().iter().cloned());
        config
    }

    fn guarantee_without_transactions(&self) -> Guarantee {
        match self.guarantee() {
            Guarantee::AtMostOnce => Guarantee::AtMostOnce,
            Guarantee::AtLeastOnce | Guarantee::ExactlyOnce => Guarantee::AtLeastOnce,
        }
    }

    /// What tells this sink from all others, at a broker.
    fn identity(&self) -> String {
        let (probe, servers) = (self.probe.0, self.endpoint.bootstrap_servers());
        match &self.flows {
            None => format!("{probe}/{servers}"),
            Some(written) => format!("{probe}/{servers}/{}", written.destination().topic),
        }
    }

    /// Who does not wait for all replicas has no transactions.
    fn is_transactional(&self) -> bool {
        self.guarantee() == Guarantee::ExactlyOnce
    }

    /// The topics, made where they are missing, and the id of the schema.
    fn open(
        &self,
        (producer, config): (&Producing, &ClientConfig),
        sink: u16,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Outlet, Failure> {
        let options = &self.options;
        let mut ensure = |wanted| topics::ensure(producer, config, wanted, is_over);
        let Some(written) = &self.flows else {
            let flow = ensure(Wanted::new(Kind::Flows, options))?;
            let ledger = ensure(Wanted::new(Kind::Ledger, options))?;
            return Ok(Outlet::Ours { flow, ledger, sink });
        };
        let topic = ensure(Wanted::named(&written.destination().topic, options))?;
        let writer = written.framed(options.settings.registry_login(), is_over)?;
        Ok(Outlet::Flows { topic, writer })
    }

    /// Connects until it succeeds or the end has come.
    fn connect(&self, cursor: &Cursor, limit: &mut Limit, reporter: &mut Reporter) -> Option<Client> {
        let mut transactional = self.is_transactional();
        loop {
            if limit.is_over(cursor) {
                return None;
            }
            let mut config = self.config(transactional);
            if limit.alone {
                config.push(("batch.num.messages".to_owned(), "1".to_owned()));
            }
            let mut is_over = || limit.is_over(cursor);
            let open = |producer: &Producing, config: &ClientConfig, is_over: &mut dyn FnMut() -> bool| {
                self.open((producer, config), cursor.number(), is_over)
            };
            match Client::connect(&config, transactional, open, &mut is_over) {
                Ok(mut client) => match self.find_place(&config, &mut client, cursor, &mut is_over) {
                    Ok(refused) => {
                        if let Some(reason) = &refused {
                            reporter.no_place(&client.outlet.of_place().name, reason);
                        }
                        let guarantee = match transactional && refused.is_none() {
                            true => Guarantee::ExactlyOnce,
                            false => self.guarantee_without_transactions(),
                        };
                        cursor.set_guarantee(guarantee);
                        reporter.connected(&client, guarantee);
                        return Some(client);
                    }
                    Err(failure) => {
                        reporter.trouble(&failure);
                        limit.wait(cursor, &failure);
                    }
                },
                Err(Failure::NoTransactions(reason)) if transactional => {
                    reporter.no_transactions(&reason);
                    transactional = false;
                }
                Err(failure) => {
                    reporter.trouble(&failure);
                    limit.wait(cursor, &failure);
                }
            }
        }
    }

    /// Where the spool's cursor is kept with the batches, it is read back, and holds. `Some` = the broker does not permit that,
    /// and why: then the cursor's file alone knows what has arrived, up to a second before a crash.
    fn find_place(
        &self,
        config: &[(String, String)],
        client: &mut Client,
        cursor: &Cursor,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Option<String>, Failure> {
        let Some(spool) = cursor.spool().filter(|_| client.transactional) else { return Ok(None) };
        let group = format!("{}{}", place::GROUP_PREFIX, self.identity());
        let topic = client.outlet.of_place().name.clone();
        match Place::find(client, config, (&group, &topic, spool), is_over) {
            Ok((place, committed)) => {
                let arrived = committed.map_or(0, |position| cursor.resume(position));
                if arrived > 0 {
                    tracing::info!(
                        sink = self.name,
                        batches = arrived,
                        "batches had arrived, as the broker says"
                    );
                }
                client.place = Some(place);
                Ok(None)
            }
            Err(Failure::NotPermitted(reason)) => Ok(Some(reason)),
            Err(failure) => Err(failure),
        }
    }

    /// Sends until the producer is of no use any more (`true` = connect anew) or the end has come.
    fn serve(
        &self,
        client: &mut Client,
        cursor: &Cursor,
        limit: &mut Limit,
        reporter: &mut Reporter,
    ) -> bool {
        loop {
            let most = if self.flows.is_some() { TRANSACTION_BATCHES_OF_FLOWS } else { TRANSACTION_BATCHES };
            let count = if limit.singly > 0 { 1 } else { most };
            let batches = match cursor.next(count, TRANSACTION_OCTETS, LOOK) {
                Next::Batches(batches) => batches,
                Next::Nothing => {
                    limit.contact();
                    continue;
                }
                Next::End => return false,
            };
            let position = cursor.position_after(batches.len());
            let failure = match client.transact(&batches, position, || limit.is_over(cursor), reporter) {
                Outcome::Committed => {
                    cursor.acknowledge(batches.len());
                    limit.contact();
                    limit.singly = limit.singly.saturating_sub(batches.len());
                    reporter.fine();
                    continue;
                }
                Outcome::Over => return false,
                Outcome::Refused(note) => {
                    let stamp = batches[0].header.stamp;
                    if batches.len() > 1 {
                        limit.singly = batches.len();
                    } else if self.flows.is_some()
                        && !limit.alone
                        && note.code != RDKafkaErrorCode::BadMessage
                    {
                        // What is limited is the set that flows go in together; librdkafka makes it before it is refused.
                        limit.alone = true;
                        reporter.alone(&client.outlet.of_place().name);
                        cursor.give_back();
                        return true;
                    } else if note.code == RDKafkaErrorCode::BadMessage {
                        limit.singly = limit.singly.saturating_sub(1);
                        reporter.unreadable(&stamp, &note.text);
                        cursor.discard(stamp, Discard::NotEncodable);
                    } else {
                        limit.singly = limit.singly.saturating_sub(1);
                        reporter.refused(&stamp, &note.text);
                        cursor.discard(stamp, Discard::RefusedByBus);
                    }
                    cursor.give_back();
                    continue;
                }
                Outcome::Aborted(failure) => failure,
            };
            cursor.give_back();
            if let Failure::NoPlace(reason) = &failure {
                client.place = None;
                cursor.set_guarantee(Guarantee::AtLeastOnce);
                reporter.no_place(&client.outlet.of_place().name, reason);
                continue;
            }
            reporter.trouble(&failure);
            limit.wait(cursor, &failure);
            if failure.needs_new_producer() {
                return true;
            }
        }
    }
}

impl Sink for Kafka {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn guarantee(&self) -> Guarantee {
        let of_flows = |written: &Written| written.destination().acknowledge.guarantee();
        self.flows.as_ref().map_or(Guarantee::ExactlyOnce, of_flows)
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn run(self: Box<Self>, cursor: Cursor) {
        let mut limit = Limit::new(self.patience);
        let mut reporter = Reporter::new(self.name.clone(), self.patience, self.flows.is_none());
        loop {
            let client = self.connect(&cursor, &mut limit, &mut reporter);
            let again =
                client.is_some_and(|mut client| self.serve(&mut client, &cursor, &mut limit, &mut reporter));
            if again {
                continue;
            }
            if cursor.is_ending() || !limit.is_out_of_patience() {
                return;
            }
            match cursor.leave() {
                Some(records) => reporter.left(records),
                None => reporter.gave_up(discard_waiting(&cursor)),
            }
            limit.give_up();
        }
    }
}

/// What waits now is not sent any more. Returns the number of its batches.
fn discard_waiting(cursor: &Cursor) -> usize {
    cursor.give_back();
    let mut count = 0;
    while let Next::Batches(batches) = cursor.next(TRANSACTION_BATCHES, TRANSACTION_OCTETS, Duration::ZERO) {
        count += batches.len();
        for sealed in batches {
            cursor.discard(sealed.header.stamp, Discard::DrainTimeout);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::outbox::Outbox;

    #[test]
    fn a_file_does_not_wait_for_ever_for_a_broker_that_is_away() {
        let patience = Duration::from_millis(300);
        let probe = ProbeId(uuid::Uuid::nil());
        // Port 1 has no listener: the kernel refuses at once.
        let endpoint::Endpoint::Kafka(away) = "kafka://127.0.0.1:1".parse().unwrap() else { panic!() };
        let sink = Kafka::new(&away, probe, Options::default()).unwrap().with_patience(Some(patience));
        let outbox = Outbox::new(&[(sink.name(), Guarantee::ExactlyOnce)], 1 << 20);
        let epoch = flow_wire::stamp::Epoch(uuid::Uuid::nil());
        let (stream, sequence) = (flow_wire::stamp::StreamId(0), flow_wire::stamp::Sequence(0));
        let stamp = flow_wire::stamp::Stamp { probe, epoch, stream, sequence };
        let header = flow_wire::header::Header::seal(flow_wire::bus::Kind::Flows, stamp, 7, b"x");
        let exported = flow_wire::ledger::Amount::ZERO;
        outbox.append(&std::sync::Arc::new(flow_wire::batch::Sealed {
            header,
            body: b"x".to_vec(),
            exported,
        }));
        let cursor = outbox.cursor(0);
        let thread = std::thread::spawn(move || Box::new(sink).run(cursor));
        assert!(outbox.wait_empty(Duration::from_secs(20)), "it still waits");
        let terms = outbox.terms();
        assert_eq!(terms[0].discarded[&Discard::DrainTimeout], 7);
        outbox.end();
        thread.join().unwrap();
    }
}
