//! Where records and books go: all of it is opened before the first packet is taken, and before rights are given up.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flow_wire::endpoint::Endpoint;
use flow_wire::ledger::Message;
use flow_wire::stamp::ProbeId;

use super::{Error, about};
use crate::books;
use crate::config::Config;
use crate::export::Sink;
use crate::export::json_lines::JsonLines;
use crate::export::kafka::{self, Kafka};
use crate::export::zmq::{self, Zmq};

/// Opens every sink of the configuration. Brokers are connected to later, and may be away.
pub(super) fn sinks(config: &Config, probe: ProbeId) -> Result<Vec<Box<dyn Sink>>, Error> {
    let options = &config.output.kafka;
    let files_only = config.inputs.iter().all(|input| input.file().is_some());
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(path) = &config.output.flows {
        sinks.push(Box::new(JsonLines::open(path)?));
    }
    for endpoint in &config.output.sinks {
        match endpoint {
            Endpoint::Zmq(endpoint) => {
                let options = zmq::Options {
                    prefix: options.prefix.clone(),
                    probe,
                    acknowledge: config.output.zmq.acknowledge,
                    encryption: config.output.zmq.encryption.clone(),
                    is_patient: files_only,
                    ntop: ntop(config, probe, endpoint),
                };
                sinks.push(Box::new(Zmq::open(endpoint, &options)?));
            }
            Endpoint::Kafka(endpoint) => {
                let sink = Kafka::new(endpoint, probe, options.clone())?;
                sinks.push(Box::new(sink.with_patience(files_only.then_some(kafka::PATIENCE_FOR_FILES))));
            }
        }
    }
    // Behind our own: a collector that knows no better takes the books of the first sink on Kafka.
    for flows in &config.output.topics {
        let sink = Kafka::of_flows(flows.clone(), probe, options.clone())?;
        sinks.push(Box::new(sink.with_patience(files_only.then_some(kafka::PATIENCE_FOR_FILES))));
    }
    Ok(sinks)
}

/// How ntopng is spoken to, and what it is told of this probe.
fn ntop(config: &Config, probe: ProbeId, endpoint: &flow_wire::endpoint::Zmq) -> zmq::ntop::Options {
    let ntop = config.output.zmq.ntop.clone();
    zmq::ntop::Options {
        template: ntop.template,
        format: ntop.format,
        layout: ntop.layout,
        compresses: ntop.compresses,
        about: about::about(config, probe, endpoint),
    }
}

/// What of them can be checked without listening, connecting or making anything.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    for endpoint in config.output.sinks.iter().filter_map(Endpoint::kafka) {
        Kafka::new(endpoint, ProbeId(uuid::Uuid::nil()), config.output.kafka.clone())?;
    }
    for flows in &config.output.topics {
        Kafka::of_flows(flows.clone(), ProbeId(uuid::Uuid::nil()), config.output.kafka.clone())?;
    }
    let keys = config.output.zmq.encryption.as_ref();
    keys.map(zmq::Encryption::check).transpose().map_err(zmq::Error::from)?;
    Ok(())
}

/// The output of `--ledger`.
pub(super) struct LedgerFile {
    path: PathBuf,
    out: Box<dyn Write>,
}

impl LedgerFile {
    /// Opens it; what was in the file is gone.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Ledger { path: path.to_path_buf(), error };
        let out: Box<dyn Write> = match path == Path::new("-") {
            true => Box::new(io::stdout()),
            false => Box::new(File::create(path).map_err(failed)?),
        };
        Ok(Self { path: path.to_path_buf(), out })
    }

    /// Writes the closed books.
    pub(super) fn write(mut self, message: &Message) -> Result<(), Error> {
        let text = format!("{:#}\n", books::ledger(message));
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| Error::Ledger { path: self.path, error })
    }
}
