//! A real broker, and a producer that does what a probe does: transactions, stamps in headers.
#![allow(dead_code, reason = "each test uses its part of it")]

#[path = "../../../deploy/kafka/admin.rs"]
mod admin;
#[path = "../../../deploy/kafka/broker.rs"]
mod broker;

use std::time::Duration;

use admin::Admin;
use collector::testing::{message, record, sealed, stamp};
use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::ledger::{Amount, CursorTerms, Guarantee, Message};
use flow_wire::stamp::{ProbeId, Stamp, StreamId};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use uuid::Uuid;

const ANSWER: Duration = Duration::from_secs(30);

/// The broker of this file's tests, which take turns.
pub(crate) struct Broker(broker::Exclusive);

impl Broker {
    /// Without any topics.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With options of the script; all tests of a file have the same ones.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let broker = Self(broker::exclusive(options));
        broker.admin().clear();
        broker
    }

    /// All that the harness can do with it.
    pub(crate) fn real(&self) -> &broker::Broker {
        &self.0
    }

    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    pub(crate) fn crash(&self) {
        self.0.kill();
    }

    pub(crate) fn restart(&self) {
        self.0.start();
    }

    pub(crate) fn crash_and_restart(&self) {
        self.crash();
        self.restart();
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.0.bootstrap);
        config
    }

    fn admin(&self) -> Admin {
        Admin::of(&self.0.bootstrap)
    }

    /// Both topics, with so many partitions for flows.
    pub(crate) fn make_topics(&self, prefix: &str, partitions: i32) {
        for (kind, partitions) in Kind::ALL.into_iter().zip([partitions, 1]) {
            self.admin().make(&kind.topic(prefix), partitions);
        }
    }

    /// Another topic, of one partition.
    pub(crate) fn make_topic(&self, name: &str) {
        self.admin().make(name, 1);
    }

    /// What retention does: the first flow partition begins at this offset from now on.
    pub(crate) fn expire_below(&self, prefix: &str, offset: i64) {
        self.admin().expire_below(&Kind::Flows.topic(prefix), offset);
    }

    /// More partitions for flows.
    pub(crate) fn add_partitions(&self, prefix: &str, partitions: usize) {
        self.admin().widen(&Kind::Flows.topic(prefix), partitions);
    }

    pub(crate) fn delete_topics(&self, prefix: &str) {
        Kind::ALL.into_iter().for_each(|kind| self.admin().delete(&kind.topic(prefix)));
    }
}

/// Rows of each batch.
pub(crate) const ROWS: u64 = 20;

/// What a probe has sealed, and how it sends it.
pub(crate) struct Producer {
    producer: BaseProducer,
    prefix: String,
    partitions: i32,
    sealed: Vec<Sealed>,
    control: u64,
    /// Of batches that were sent and are not kept here.
    forgotten: Forgotten,
}

#[derive(Default)]
struct Forgotten {
    batches: u64,
    records: u64,
    exported: Amount,
}

impl Producer {
    pub(crate) fn new(broker: &Broker, prefix: &str, partitions: i32) -> Self {
        let mut config = broker.config();
        config.set("transactional.id", prefix);
        let producer: BaseProducer<DefaultProducerContext> = config.create().unwrap();
        producer.init_transactions(ANSWER).unwrap();
        Self {
            producer,
            prefix: prefix.to_owned(),
            partitions,
            sealed: Vec::new(),
            control: 0,
            forgotten: Forgotten::default(),
        }
    }

    /// Seals `count` batches and sends them in one transaction, which is aborted first and then repeated: a reader of
    /// committed messages must see it once.
    pub(crate) fn send(&mut self, count: u64) {
        let from = self.sealed.len() as u64;
        for sequence in from..from + count {
            let records: Vec<_> = (0..ROWS).map(|row| record(sequence * ROWS + row)).collect();
            self.sealed.push(sealed(stamp(0, sequence), &records));
        }
        let new = self.sealed[from as usize..].to_vec();
        self.transaction(&new, false);
        self.transaction(&new, true);
    }

    /// Seals `count` batches of so many rows and sends them, without keeping them: before any other.
    pub(crate) fn send_and_forget(&mut self, count: u64, rows: u64) {
        assert!(self.sealed.is_empty());
        let from = self.forgotten.batches;
        let sealed: Vec<_> = (from..from + count)
            .map(|sequence| {
                let records: Vec<_> = (0..rows).map(|row| record(sequence * rows + row)).collect();
                sealed(stamp(0, sequence), &records)
            })
            .collect();
        self.transaction(&sealed, true);
        self.forgotten.batches += count;
        self.forgotten.records += count * rows;
        self.forgotten.exported = sealed.iter().fold(self.forgotten.exported, |sum, one| sum + one.exported);
    }

    /// Goes on where another one was: a new connection, the same probe.
    pub(crate) fn take_over(&mut self, other: Self) {
        self.sealed = other.sealed;
        self.control = other.control;
    }

    /// Everything again, as into a new log.
    pub(crate) fn resend_all(&self) {
        self.transaction(&self.sealed, true);
    }

    /// The control message: all that was sealed so far is below the cut.
    pub(crate) fn cut(&mut self, closed: bool) {
        let exported = self.sealed.iter().fold(self.forgotten.exported, |sum, one| sum + one.exported);
        let batches = self.forgotten.batches + self.sealed.len() as u64;
        let records = self.rows();
        let mut said = message(&[(0, batches, records, exported)], closed);
        said.cursors.push(CursorTerms {
            sink: "kafka://test".into(),
            stream: StreamId(0),
            guarantee: Guarantee::ExactlyOnce,
            records_out: records,
            acknowledged: records,
            in_spool: 0,
            discarded: Default::default(),
            number: 0,
            read_here: false,
            discarded_amounts: Default::default(),
            discarded_batches: 0,
        });
        let sealed = Sealed::ledger(&said, stamp(StreamId::CONTROL.0, self.control)).unwrap();
        self.control += 1;
        self.transaction(&[sealed], true);
    }

    /// What so many probes say in so many seconds, in one transaction each second; no flows come with it.
    pub(crate) fn speak(&self, probes: u128, seconds: u64) {
        for second in 0..seconds {
            let said = Message { time_nanoseconds: second, ..message(&[], false) };
            let of = |probe| Stamp {
                probe: ProbeId(Uuid::from_u128(1_000 + probe)),
                ..stamp(StreamId::CONTROL.0, second)
            };
            let sealed: Vec<_> = (0..probes).map(|probe| Sealed::ledger(&said, of(probe)).unwrap()).collect();
            self.transaction(&sealed, true);
        }
    }

    /// A message that is none of ours.
    pub(crate) fn send_garbage(&self) {
        let topic = Kind::Flows.topic(&self.prefix);
        self.producer.begin_transaction().unwrap();
        self.producer
            .send(BaseRecord::<(), _>::to(&topic).payload("hello"))
            .map_err(|(error, _)| error)
            .unwrap();
        self.producer.commit_transaction(ANSWER).unwrap();
    }

    fn transaction(&self, sealed: &[Sealed], commit: bool) {
        self.producer.begin_transaction().unwrap();
        for one in sealed {
            let pairs = one.header.to_pairs();
            let headers = pairs.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
            let topic = one.header.kind.topic(&self.prefix);
            let partition = match one.header.kind {
                Kind::Flows => one.header.stamp.sequence.0 as i32 % self.partitions,
                Kind::Ledger => 0,
            };
            let record =
                BaseRecord::<(), _>::to(&topic).partition(partition).payload(&one.body).headers(headers);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        if commit {
            self.producer.commit_transaction(ANSWER).unwrap();
        } else {
            self.producer.flush(ANSWER).unwrap();
            self.producer.abort_transaction(ANSWER).unwrap();
        }
    }

    /// Rows that the store must have.
    pub(crate) fn rows(&self) -> u64 {
        self.forgotten.records + self.sealed.len() as u64 * ROWS
    }
}
