//! Flows on a topic of the user's (`--kafka`): what was asked for, and how it is written.

use std::cell::OnceCell;

use flow_wire::endpoint::{Endpoint, Kafka};
use flow_wire::field::Template;
use flow_wire::generic::{Error, Format, Writer};
use flow_wire::ledger::Guarantee;

use super::failure::Failure;
use super::registry;

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flows {
    /// Where they go.
    pub destination: Destination,
    /// Fields of a flow.
    pub template: Template,
    /// How it is written.
    pub format: Format,
    /// What stands before it.
    pub schema: SchemaId,
}

/// A topic, and how it is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// To begin with.
    pub brokers: Kafka,
    /// The whole name.
    pub topic: String,
    /// Who has to have a message before it counts as delivered.
    pub acknowledge: Acknowledge,
    /// librdkafka's word.
    pub compression: &'static str,
}

impl Destination {
    /// As in books and metrics, and of its cursor in the spool.
    pub fn name(&self) -> String {
        format!("{}/{}", Endpoint::Kafka(self.brokers.clone()), self.topic)
    }

    /// Of the producer.
    pub(super) fn settings(&self) -> [(String, String); 2] {
        let acks = match self.acknowledge {
            Acknowledge::All => "all",
            Acknowledge::Leader => "1",
            Acknowledge::Nobody => "0",
        };
        [("acks", acks), ("compression.codec", self.compression)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
    }
}

/// Kafka's `acks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// All replicas, in transactions: exactly once.
    #[default]
    All,
    /// The partition's leader: at least once, as long as that one lives.
    Leader,
    /// A message that went out is delivered: at most once.
    Nobody,
}

impl Acknowledge {
    pub(super) const fn guarantee(self) -> Guarantee {
        match self {
            Self::All => Guarantee::ExactlyOnce,
            Self::Leader => Guarantee::AtLeastOnce,
            Self::Nobody => Guarantee::AtMostOnce,
        }
    }
}

/// A registry's number of the schema, before each message that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaId {
    /// Messages are bare.
    None,
    /// Somebody knows it.
    Is(u32),
    /// This registry is told the schema, and says it.
    Of(String),
}

/// An output, prepared.
pub(super) struct Written {
    flows: Flows,
    /// Without an id of its schema.
    writer: Writer,
    /// Once a registry has said it.
    id: OnceCell<u32>,
}

impl Written {
    /// # Errors
    /// The format cannot have the template's fields.
    pub(super) fn new(flows: Flows) -> Result<Self, Error> {
        let writer = Writer::new(&flows.template, flows.format)?;
        Ok(Self { flows, writer, id: OnceCell::new() })
    }

    pub(super) fn destination(&self) -> &Destination {
        &self.flows.destination
    }

    /// What writes its messages. Once a registry has answered it is not asked again: the id of a schema never changes.
    ///
    /// # Errors
    /// The registry is away, or says no.
    pub(super) fn framed(
        &self,
        login: Option<&str>,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Writer, Failure> {
        let id = match (&self.flows.schema, self.id.get(), self.writer.schema()) {
            (SchemaId::None, ..) | (.., None) => return Ok(self.writer.clone()),
            (SchemaId::Is(id), ..) | (_, Some(id), _) => *id,
            (SchemaId::Of(url), None, Some(schema)) => {
                let subject = format!("{}-value", self.destination().topic);
                registry::register(url, &subject, &schema, login, is_over)?
            }
        };
        Ok(self.writer.clone().framed(*self.id.get_or_init(|| id)))
    }
}
