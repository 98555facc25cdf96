//! From endpoints to sinks, all opened before any thread starts: what cannot work is known at the start.

use std::path::Path;

use flow_wire::endpoint::Endpoint;
use flow_wire::stamp::ProbeId;

use super::Sink;
use super::json_lines::{self, JsonLines};
use super::kafka::{self, Kafka};
use super::zmq::{self, Zmq};

/// An output that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--flows`
    #[error(transparent)]
    JsonLines(#[from] json_lines::Error),
    /// `--ntopng zmq://..`
    #[error(transparent)]
    Zmq(#[from] zmq::Error),
    /// `--ntopng kafka://..`
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
}

/// Opens them all: sockets are bound and files made here, as long as the process may; brokers are connected to later, and
/// may be away.
///
/// # Errors
/// The first that cannot work.
pub fn open_sinks(
    endpoints: &[Endpoint],
    flows: Option<&Path>,
    probe: ProbeId,
    options: &kafka::Options,
) -> Result<Vec<Box<dyn Sink>>, Error> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    for endpoint in endpoints {
        sinks.push(match endpoint {
            Endpoint::Kafka(endpoint) => Box::new(Kafka::new(endpoint, probe, options.clone())?),
            Endpoint::Zmq(endpoint) => Box::new(Zmq::open(endpoint, &options.prefix)?),
        });
    }
    if let Some(path) = flows {
        sinks.push(Box::new(JsonLines::open(path)?));
    }
    Ok(sinks)
}
