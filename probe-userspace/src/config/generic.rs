//! `--kafka` and what belongs to it: flows on a topic of the user's.
//!
//! ```text
//! BROKERS;TOPIC[,OPTIONS][;OPTIONS][;ACK[;COMPRESSION]]       nProbe's orders, and Cento's without OPTIONS
//! ```
//! Both are tried; a value that has two meanings is refused.

use flow_wire::bus::Kind;
use flow_wire::endpoint::{Endpoint, Kafka};
use flow_wire::generic::{Format, Writer};
use flow_wire::ntop::Keys;

use super::check::word;
use super::{Error, Words};
use crate::export::kafka::flows::{Acknowledge, Destination, Flows, SchemaId};

const OPTION: &str = "--kafka";
const COMPRESSIONS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// As Kafka limits a topic's name.
const LONGEST_TOPIC: usize = 249;
/// nProbe's word for no topic.
const NO_TOPIC: &str = "none";
const ORDERS: &str = "write BROKERS;TOPIC, or behind it ;ACK;COMPRESSION or ;OPTIONS;ACK;COMPRESSION, in quotes: ACK is -1, 0 or 1, \
                      COMPRESSION none, gzip, snappy, lz4 or zstd, OPTIONS a topic or none";

/// What stands behind brokers and topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rest {
    options: Option<String>,
    acknowledge: Acknowledge,
    compression: Option<&'static str>,
}

/// All of them, and a sentence for each topic that nothing will be written to.
pub(super) fn outputs(words: &Words, prefix: &str) -> Result<(Vec<Flows>, Vec<String>), Error> {
    let (mut outputs, mut sentences): (Vec<Flows>, _) = (Vec::new(), Vec::new());
    if words.kafka.is_empty() {
        return unused(words).map_or(Ok((outputs, sentences)), Err);
    }
    let (template, format, schema) = (super::ntopng::template(words)?, format(words)?, schema(words)?);
    Writer::new(&template, format).map_err(|error| {
        let mend = "give it another alias, or leave it out".to_owned();
        word("-T", words.template.as_deref().unwrap_or_default(), &error.to_string(), mend)
    })?;
    for text in &words.kafka {
        let (destination, options) = destination(text, words.cento)?;
        if Kind::ALL.iter().any(|kind| kind.topic(prefix) == destination.topic) {
            let reason = "this topic is for our own batches, and gannet-collector would read no flow there";
            return Err(word(OPTION, text, reason, "take another one, or another --topic-prefix".into()));
        }
        if outputs.iter().any(|known| known.destination.name() == destination.name()) {
            return Err(Error::SinkTwice { option: OPTION, url: text.clone() });
        }
        sentences.extend(options.map(|topic| {
            format!(
                "--kafka {text}: nothing goes to topic '{topic}': it is for option templates of NetFlow exporters, and this probe \
                 meters packets"
            )
        }));
        outputs.push(Flows { destination, template: template.clone(), format, schema: schema.clone() });
    }
    Ok((outputs, sentences))
}

/// One value: where flows go, and the topic that would have option templates.
fn destination(text: &str, is_cento: bool) -> Result<(Destination, Option<String>), Error> {
    let mut parts: Vec<&str> = text.split(';').map(str::trim).collect();
    while parts.len() > 2 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    let brokers = brokers(parts[0], text.contains('@'))?;
    let topics = parts.get(1).copied().unwrap_or_default();
    let (topic, other) = topics.split_once(',').map_or((topics, None), |(topic, other)| (topic, Some(other)));
    for name in [Some(topic), other.filter(|other| *other != NO_TOPIC)].into_iter().flatten() {
        if !is_topic(name) {
            let reason =
                format!("'{name}' is no topic, which has 1 to 249 letters, digits, '.', '_' and '-'");
            return Err(word(OPTION, text, &reason, ORDERS.into()));
        }
    }
    let rest = rest(text, &parts[parts.len().min(2)..], other, is_cento)?;
    let (topic, compression) = (topic.to_owned(), rest.compression.unwrap_or(COMPRESSIONS[0]));
    Ok((Destination { brokers, topic, acknowledge: rest.acknowledge, compression }, rest.options))
}

/// As a URL has them; TLS by `kafka-ssl://`, or by a setting.
fn brokers(text: &str, has_secret: bool) -> Result<Kafka, Error> {
    let url = if text.contains("://") { text.to_owned() } else { format!("kafka://{text}") };
    // A user or a password is refused without being repeated, wherever it stands.
    let url = if has_secret { "kafka://..@..".to_owned() } else { url };
    match url.parse().map_err(|error| Error::Endpoint { option: OPTION, error })? {
        Endpoint::Kafka(kafka) => Ok(kafka),
        Endpoint::Zmq(_) => Err(word(OPTION, text, "these are no brokers", ORDERS.into())),
    }
}

fn rest(text: &str, parts: &[&str], other: Option<&str>, is_cento: bool) -> Result<Rest, Error> {
    let short = short(parts).map(|rest| Rest { options: other.and_then(options), ..rest });
    // With the other topic behind a comma it does not stand once more.
    let long = if other.is_none() { long(parts) } else { None };
    match (short, long) {
        (Some(short), _) if is_cento => Ok(short),
        (Some(short), Some(long)) if short != long => {
            let part = parts[0];
            let reason =
                format!("'{part}' may be an acknowledgement (Cento) or a topic for options (nProbe)");
            let before = text.split(';').take(2).collect::<Vec<_>>().join(";");
            let mend = format!(
                "for the acknowledgement write '{before};none;{part}', for the topic '{before},{part}'"
            );
            Err(word(OPTION, text, &reason, mend))
        }
        (Some(rest), _) | (None, Some(rest)) => Ok(rest),
        (None, None) => {
            let reason = format!("'{}' can be read in no order that nProbe or Cento has", parts.join(";"));
            Err(word(OPTION, text, &reason, ORDERS.into()))
        }
    }
}

/// `ACK;COMPRESSION`
fn short(parts: &[&str]) -> Option<Rest> {
    let (acknowledge, compression) = match parts {
        [] => ("", ""),
        [acknowledge] => (*acknowledge, ""),
        [acknowledge, compression] => (*acknowledge, *compression),
        _ => return None,
    };
    Some(Rest {
        options: None,
        acknowledge: acknowledgement(acknowledge)?,
        compression: match compression {
            "" => None,
            word => Some(COMPRESSIONS.into_iter().find(|known| *known == word)?),
        },
    })
}

/// `OPTIONS;ACK;COMPRESSION`
fn long(parts: &[&str]) -> Option<Rest> {
    let Some((topic, parts)) = parts.split_first() else { return short(parts) };
    let is_sound = topic.is_empty() || is_topic(topic);
    short(parts).filter(|_| is_sound).map(|rest| Rest { options: options(topic), ..rest })
}

fn options(topic: &str) -> Option<String> {
    (!topic.is_empty() && topic != NO_TOPIC).then(|| topic.to_owned())
}

/// What would be ignored: whoever writes it means that flows go somewhere.
fn unused(words: &Words) -> Option<Error> {
    let options = [
        ("--kafka-format", words.kafka_format.is_some()),
        ("--kafka-add-timestamp", words.kafka_add_timestamp),
        ("--schema-registry", words.schema_registry.is_some()),
        ("--schema-id", words.schema_id.is_some()),
    ];
    let (option, _) = options.into_iter().find(|(_, is_given)| *is_given)?;
    Some(Error::Contradiction {
        first: option.into(),
        second: "a probe without --kafka".into(),
        reason: "it says how flows are written there",
        mend: "add --kafka 'BROKERS;TOPIC', or leave it out",
    })
}

/// nProbe's manual has 2 where its older one has -1.
fn acknowledgement(text: &str) -> Option<Acknowledge> {
    match text {
        "" | "-1" | "2" => Some(Acknowledge::All),
        "1" => Some(Acknowledge::Leader),
        "0" => Some(Acknowledge::Nobody),
        _ => None,
    }
}

fn is_topic(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=LONGEST_TOPIC).contains(&name.len()) && name.chars().all(legal) && !matches!(name, "." | "..")
}

fn format(words: &Words) -> Result<Format, Error> {
    let format = words.kafka_format.as_deref().unwrap_or("json");
    let keys = if words.json_labels { Keys::Names } else { Keys::Numbers };
    let format = match format {
        "j" | "json" => Format::Json { keys, has_timestamp: words.kafka_add_timestamp },
        "avro" => Format::Avro,
        "protobuf" => Format::Protobuf,
        _ => {
            let reason = "not a format that is written here";
            return Err(word("--kafka-format", format, reason, "take json, avro or protobuf".into()));
        }
    };
    if words.kafka_add_timestamp && !matches!(format, Format::Json { .. }) {
        return Err(Error::Contradiction {
            first: "--kafka-add-timestamp".into(),
            second: format!("--kafka-format {}", words.kafka_format.as_deref().unwrap_or_default()),
            reason: "no name there begins with '@'",
            mend: "name a time in -T, such as %FLOW_END_MILLISECONDS",
        });
    }
    Ok(format)
}

/// Where the id before each message comes from.
fn schema(words: &Words) -> Result<SchemaId, Error> {
    let of_json = matches!(words.kafka_format.as_deref(), None | Some("j" | "json"));
    let contradiction = |first: String, second: String, reason, mend| {
        Err(Error::Contradiction { first, second, reason, mend })
    };
    // Before any other sentence has it in: it may have a password.
    let registry = words.schema_registry.as_deref().map(registry_url).transpose()?;
    let id = words.schema_id;
    let option = registry.as_ref().map(|url| format!("--schema-registry {url}"));
    let option = option.or_else(|| id.map(|id| format!("--schema-id {id}")));
    if let Some(option) = option.filter(|_| of_json) {
        let mend = "ask for --kafka-format avro or protobuf, or leave it out";
        return contradiction(option, "--kafka-format json".into(), "JSON is written without a schema", mend);
    }
    match (registry, id) {
        (None, None) => Ok(SchemaId::None),
        (Some(url), None) => Ok(SchemaId::Of(url)),
        (None, Some(id)) => {
            let most = u64::from(u32::MAX >> 1);
            super::check::ranged(
                ("--schema-id", id),
                (0, most, "as registries number them"),
                "see the registry",
            )
            .map(|id| SchemaId::Is(id as u32))
        }
        (Some(url), Some(id)) => contradiction(
            format!("--schema-registry {url}"),
            format!("--schema-id {id}"),
            "the registry gives the id",
            "leave one of them out",
        ),
    }
}

fn registry_url(url: &str) -> Result<String, Error> {
    if let Some((_, behind)) = url.rsplit_once('@') {
        let reason = "it has a user or a password in it, which everybody could read who lists processes";
        let mend =
            "put schema.registry.basic.auth.user.info=USER:PASSWORD into a file, and give --kafka-conf @FILE";
        return Err(word("--schema-registry", format!("'..@{behind}'"), reason, mend.into()));
    }
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or_default();
    let is_sound = !host.is_empty() && !host.starts_with(['/', ':']) && !url.contains(['?', '#', ' ']);
    if is_sound {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(word(
        "--schema-registry",
        url,
        "no URL of a registry",
        "write for example http://registry:8081".into(),
    ))
}

#[cfg(test)]
mod tests;
