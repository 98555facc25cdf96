//! What becomes of a batch, and on which topics.
//!
//! ```text
//! ours    batch ─► a message, its stamp in the headers ─► PREFIX.flow, PREFIX.ledger
//! flows   batch ─► rows ─► a message each ─────────────► the user's topic           (books go nowhere)
//! ```

use flow_wire::batch::{Sealed, open, records};
use flow_wire::bus::Kind;
use flow_wire::fault::{self, Hop};
use flow_wire::generic::Writer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use super::client::Client;
use super::failure::is_for_good;
use super::topics::Topic;
use super::transaction::TRY;
use crate::export::copies;

/// See above.
pub(super) enum Outlet {
    /// Our own topics.
    Ours {
        flow: Topic,
        ledger: Topic,
        /// Number of the sink, for the headers.
        sink: u16,
    },
    /// Somebody else's.
    Flows { topic: Topic, writer: Writer },
}

impl Outlet {
    pub(super) fn topics(&self) -> Vec<&Topic> {
        match self {
            Self::Ours { flow, ledger, .. } => vec![flow, ledger],
            Self::Flows { topic, .. } => vec![topic],
        }
    }

    /// The one that lends its name to the spool's cursor.
    pub(super) fn of_place(&self) -> &Topic {
        match self {
            Self::Ours { ledger, .. } => ledger,
            Self::Flows { topic, .. } => topic,
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Ours { flow, ledger, .. } => format!(
                "topic {} with {} partitions (stream modulo partitions), topic {} with {}",
                flow.name, flow.partitions, ledger.name, ledger.partitions
            ),
            Self::Flows { topic, .. } => {
                format!("a message a flow; topic {} with {} partitions", topic.name, topic.partitions)
            }
        }
    }
}

impl Client {
    /// Hands a batch to librdkafka, and waits while that has no room.
    ///
    /// # Errors
    /// It is not taken; one that will never be is noted as refused.
    pub(super) fn produce(
        &self,
        sealed: &Sealed,
        is_over: &mut impl FnMut() -> bool,
    ) -> Result<(), KafkaError> {
        match (&self.outlet, sealed.header.kind) {
            (Outlet::Ours { flow, sink, .. }, Kind::Flows) => {
                let copies = copies(fault::take(Hop::Bus));
                (0..copies).try_for_each(|_| self.produce_batch(sealed, (flow, *sink), is_over))
            }
            (Outlet::Ours { ledger, sink, .. }, Kind::Ledger) => {
                self.produce_batch(sealed, (ledger, *sink), is_over)
            }
            (Outlet::Flows { topic, writer }, Kind::Flows) => {
                self.produce_flows(sealed, (topic, writer), is_over)
            }
            (Outlet::Flows { .. }, Kind::Ledger) => Ok(()),
        }
    }

    fn produce_batch(
        &self,
        sealed: &Sealed,
        (topic, sink): (&Topic, u16),
        is_over: &mut impl FnMut() -> bool,
    ) -> Result<(), KafkaError> {
        let pairs = sealed.header.sent_by(sink).to_pairs();
        let partition = topic.partition(sealed.header.stamp.stream);
        let record = || {
            let headers =
                pairs.iter().fold(OwnedHeaders::new_with_capacity(pairs.len()), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value) })
                });
            BaseRecord::to(&topic.name).partition(partition).payload(&*sealed.body).headers(headers)
        };
        self.send(record, is_over)
    }

    /// All rows of a batch go to one partition, those of the stream's next batch to the next one.
    fn produce_flows(
        &self,
        sealed: &Sealed,
        (topic, writer): (&Topic, &Writer),
        is_over: &mut impl FnMut() -> bool,
    ) -> Result<(), KafkaError> {
        let decoded = open(&sealed.header, &sealed.body);
        let rows = decoded
            .map_err(|error| error.to_string())
            .and_then(|decoded| records(&decoded.batch).map_err(|error| error.to_string()));
        let rows = rows.map_err(|text| {
            self.notes().refuse(RDKafkaErrorCode::BadMessage, text);
            KafkaError::MessageProduction(RDKafkaErrorCode::BadMessage)
        })?;
        let partition = topic.partition_of_batch(&sealed.header.stamp);
        let mut message = Vec::new();
        for row in &rows {
            message.clear();
            writer.write(row, &mut message);
            self.send(|| BaseRecord::to(&topic.name).partition(partition).payload(&*message), is_over)?;
        }
        Ok(())
    }

    fn send<'a>(
        &self,
        record: impl Fn() -> BaseRecord<'a, (), [u8]>,
        is_over: &mut impl FnMut() -> bool,
    ) -> Result<(), KafkaError> {
        loop {
            self.notes().sending();
            let Err((error, _)) = self.producer.send(record()) else { return Ok(()) };
            self.notes().reported();
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if !is_over() => self.producer.poll(TRY),
                Some(code) if is_for_good(code) => {
                    self.notes().refuse(code, error.to_string());
                    return Err(error);
                }
                _ => return Err(error),
            }
        }
    }
}
