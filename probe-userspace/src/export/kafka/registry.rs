//! A schema registry, by the REST that Confluent documents for its own and others speak: a schema is told once, and has a number from then on.
//!
//! ```text
//! POST URL/subjects/TOPIC-value/versions   {"schema": "..", "schemaType": "PROTOBUF"}   ─►   {"id": 7}
//! ```
//! One that is known already gets the number that it has.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use base64::Engine;
use flow_wire::generic::Schema;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use super::failure::Failure;

/// Time for its answer.
const CALL: Duration = Duration::from_secs(10);
/// So often it is looked whether the run has ended.
const LOOK: Duration = Duration::from_millis(100);
/// No answer is longer.
const ANSWER_OCTETS_MAX: u64 = 1 << 16;
/// Of its own words in a message of ours.
const SAID_CHARACTERS_MAX: usize = 300;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// As `schemaType` where nothing else is said; the oldest registries know no other, nor the key.
const AVRO: &str = "AVRO";

/// What it answered.
struct Answer {
    status: u16,
    body: String,
}

/// Gives the number of the schema under this subject.
///
/// # Errors
/// Nobody answers, or a person has to do something.
pub(super) fn register(
    url: &str,
    subject: &str,
    schema: &Schema,
    login: Option<&str>,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<u32, Failure> {
    let away = |reason: String| Failure::Away(format!("the schema registry {url} does not answer: {reason}"));
    let request = format!("{url}/subjects/{subject}/versions");
    let mut body = json!({ "schema": schema.text });
    if schema.kind != AVRO {
        body["schemaType"] = schema.kind.into();
    }
    let login = login.map(|login| base64::engine::general_purpose::STANDARD.encode(login));
    // A thread of its own: the run may end while it waits, and then nobody does.
    let (sender, answers) = channel();
    let ask = move || {
        // Nobody may listen any more.
        let _ = sender.send(post(&request, login.as_deref(), &body.to_string()));
    };
    std::thread::Builder::new()
        .name("schema-registry".to_owned())
        .spawn(ask)
        .map_err(|error| away(error.to_string()))?;
    loop {
        match answers.recv_timeout(LOOK) {
            Ok(Ok(answer)) => return judge(url, subject, &answer),
            Ok(Err(error)) => return Err(away(error.to_string())),
            Err(RecvTimeoutError::Timeout) if !is_over() => {}
            Err(_) => return Err(away("the run ends".to_owned())),
        }
    }
}

fn post(url: &str, login: Option<&str>, body: &str) -> Result<Answer, ureq::Error> {
    let tls =
        TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .timeout_global(Some(CALL))
        .http_status_as_error(false)
        .tls_config(tls)
        .build();
    let mut request = Agent::from(config)
        .post(url)
        .header("content-type", CONTENT_TYPE)
        .header("accept", format!("{CONTENT_TYPE}, application/json"));
    if let Some(login) = login {
        request = request.header("authorization", format!("Basic {login}"));
    }
    let mut response = request.send(body)?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(ANSWER_OCTETS_MAX).read_to_string()?;
    Ok(Answer { status, body })
}

fn judge(url: &str, subject: &str, answer: &Answer) -> Result<u32, Failure> {
    let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let words = said["message"].as_str().unwrap_or(&answer.body);
    let words: String = words.chars().filter(|c| !c.is_control()).take(SAID_CHARACTERS_MAX).collect();
    let refused = |reason: String| Err(Failure::Registry(format!("{url} {reason}")));
    match answer.status {
        200..=299 => match said["id"].as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok(id),
            None => refused("has answered without an id: is it the URL of a registry?".to_owned()),
        },
        401 | 403 => refused(format!(
            "does not let this probe in ({words}): check schema.registry.basic.auth.user.info in the file of --kafka-conf, and that \
             its user may write subject '{subject}'"
        )),
        409 => refused(format!(
            "has another schema for subject '{subject}', with which this one is not compatible ({words}): take a topic of its own, or \
             change the compatibility of the subject"
        )),
        422 => refused(format!("does not take the schema of subject '{subject}' ({words})")),
        404 | 405 => refused(format!(
            "knows no subjects ({}, {words}): --schema-registry is the URL before /subjects",
            answer.status
        )),
        status => Err(Failure::Away(format!("the schema registry {url} answers {status}: {words}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> Result<u32, Failure> {
        judge("http://r:8081", "flows-value", &Answer { status, body: body.to_owned() })
    }

    #[test]
    fn the_number_of_the_schema_is_what_it_says() {
        assert_eq!(said(200, r#"{"id":7}"#), Ok(7));
        for body in ["", "{}", "<html>", r#"{"id":-1}"#, r#"{"id":4294967296}"#] {
            assert!(said(200, body).unwrap_err().needs_a_person(), "{body}");
        }
    }

    #[test]
    fn a_refusal_names_the_registry_its_words_and_the_mend() {
        for (status, mend) in [
            (401, "schema.registry.basic.auth.user.info"),
            (403, "may write subject 'flows-value'"),
            (404, "before /subjects"),
            (409, "compatibility of the subject"),
            (422, "'flows-value'"),
        ] {
            let failure = said(status, r#"{"error_code":40901,"message":"why\nso"}"#).unwrap_err();
            let text = failure.to_string();
            assert!(failure.needs_a_person() && !failure.is_silence(), "{text}");
            assert!(
                text.contains(mend) && text.contains("whyso") && text.contains("http://r:8081"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_mends_itself_is_waited_for() {
        for status in [500, 503, 429] {
            assert!(!said(status, "<html>").unwrap_err().needs_a_person());
        }
        let schema = Schema { kind: AVRO, text: "{}".to_owned() };
        // Port 1 has no listener: the kernel refuses at once.
        let failure = register("http://127.0.0.1:1", "t-value", &schema, None, &mut || false).unwrap_err();
        assert!(failure.is_silence() && failure.to_string().contains("http://127.0.0.1:1"), "{failure}");
        // Nobody ever answers, and the run ends.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let failure = register(&url, "t-value", &schema, None, &mut || true).unwrap_err();
        assert!(failure.to_string().contains("the run ends"), "{failure}");
    }
}
