//! `--ntopng` and its old names.

use flow_wire::endpoint::Endpoint;

use super::{Error, Words};

/// The buses, and a sentence for each name that will go away.
pub(super) fn sinks(words: &Words) -> Result<(Vec<Endpoint>, Vec<String>), Error> {
    let mut sinks = Vec::new();
    let mut deprecations = Vec::new();
    for url in &words.ntopng {
        add("--ntopng", url, words.zmq_probe_mode, &mut sinks, &mut deprecations)?;
    }
    for url in &words.zmq {
        let mut of_the_url = Vec::new();
        add("--zmq", url, words.zmq_probe_mode, &mut sinks, &mut of_the_url)?;
        // One sentence, whose mend is not itself deprecated.
        if let Some(endpoint) = sinks.last() {
            deprecations.push(format!("--zmq {url} is deprecated: write --ntopng {endpoint}"));
        }
    }
    Ok((sinks, deprecations))
}

fn add(
    option: &'static str,
    url: &str,
    probe_mode: bool,
    sinks: &mut Vec<Endpoint>,
    deprecations: &mut Vec<String>,
) -> Result<(), Error> {
    let mut endpoint: Endpoint = url.parse().map_err(|error| Error::Endpoint { option, error })?;
    if let Endpoint::Zmq(zmq) = &mut endpoint {
        zmq.collector_binds |= probe_mode;
    }
    deprecations.extend(endpoint.deprecation());
    // By their canonical form: tcp:// and zmq:// are the same socket.
    if sinks.iter().any(|known| known.to_string() == endpoint.to_string()) {
        return Err(Error::SinkTwice { option, url: url.to_string() });
    }
    sinks.push(endpoint);
    Ok(())
}
