use super::*;

fn read(text: &str) -> (String, Acknowledge, &'static str, Option<String>) {
    let (destination, options) = destination(text, false).unwrap();
    (destination.name(), destination.acknowledge, destination.compression, options)
}

fn refused(text: &str) -> String {
    destination(text, false).unwrap_err().to_string()
}

#[test]
fn both_documented_orders_are_read() {
    use Acknowledge::{All, Leader, Nobody};
    let topic = || Some("o".to_owned());
    for (text, acknowledge, compression, options) in [
        ("b;t", All, "none", None),
        ("b;t;", All, "none", None),
        ("b;t;;;", All, "none", None),
        // nProbe's.
        ("b;t;o", All, "none", topic()),
        ("b;t;none", All, "none", None),
        ("b;t;o;1", Leader, "none", topic()),
        ("b;t;o;-1;gzip", All, "gzip", topic()),
        ("b;t;;0;snappy", Nobody, "snappy", None),
        ("b;t;none;2;zstd", All, "zstd", None),
        ("b;t,o", All, "none", topic()),
        ("b;t,o;1;lz4", Leader, "lz4", topic()),
        ("b;t,none;0", Nobody, "none", None),
        // Cento's.
        ("b;t;1;gzip", Leader, "gzip", None),
        ("b;t;-1;none", All, "none", None),
        ("b;t;;gzip", All, "gzip", None),
        // A topic is called as it likes: two acknowledgements are none of Cento's.
        ("b;t;0;1", Leader, "none", Some("0".to_owned())),
    ] {
        assert_eq!(read(text), ("kafka://b:9092/t".to_owned(), acknowledge, compression, options), "{text}");
    }
    assert_eq!(read("a:1,b ; t").0, "kafka://a:1,b:9092/t");
    assert_eq!(read("kafka-ssl://b;t").0, "kafka-ssl://b:9092/t");
}

#[test]
fn what_has_two_meanings_is_refused_with_how_to_write_each() {
    for acknowledge in ["-1", "0", "1", "2"] {
        let said = refused(&format!("b:1;t;{acknowledge}"));
        let mends = [format!("'b:1;t;none;{acknowledge}'"), format!("'b:1;t,{acknowledge}'")];
        assert!(mends.iter().all(|mend| said.contains(mend)), "{said}");
        for mend in mends {
            destination(mend.trim_matches('\''), false).unwrap();
        }
    }
    assert_eq!(destination("b;t;1", true).unwrap().0.acknowledge, Acknowledge::Leader);
}

#[test]
fn refusals_name_the_value_and_the_mend() {
    for (text, part) in [
        ("b", "'' is no topic"),
        ("b;", "'' is no topic"),
        ("b;a b", "'a b' is no topic"),
        ("b;t;gzap;1;gzip;x", "no order"),
        ("b;t;o;3", "'o;3'"),
        ("b;t;o;1;gzap", "'o;1;gzap'"),
        ("b;t,o;p;1;none", "'p;1;none'"),
        ("b;t,o,p", "'o,p' is no topic"),
        (";t", "names no host"),
        ("zmq://b:1;t", "no brokers"),
    ] {
        let said = refused(text);
        assert!(said.contains("--kafka") && said.contains(part) && said.contains("write"), "{said}");
    }
    let said = refused("me:s3cret@b;t");
    assert!(said.contains("--kafka-conf @FILE") && !said.contains("s3cret"), "{said}");
    assert!(!refused("b;me:s3cret@t").contains("s3cret"));
}

fn words(kafka: &[&str]) -> Words {
    Words { kafka: kafka.iter().map(|text| (*text).to_owned()).collect(), ..Words::default() }
}

fn contradiction(change: impl FnOnce(&mut Words)) -> String {
    let mut words = words(&["b;t"]);
    change(&mut words);
    outputs(&words, "gannet").unwrap_err().to_string()
}

#[test]
fn several_topics_are_several_outputs_and_one_is_named_once() {
    let (all, sentences) = outputs(&words(&["b;t", "b;u", "c;t;opts"]), "gannet").unwrap();
    assert_eq!((all.len(), sentences.len()), (3, 1));
    assert!(sentences[0].contains("'opts'"), "{sentences:?}");
    assert!(
        outputs(&words(&["b;t", "b:9092;t;1;none"]), "gannet").unwrap_err().to_string().contains("twice")
    );
    let ours = outputs(&words(&["b;edge.flow"]), "edge").unwrap_err().to_string();
    assert!(ours.contains("our own batches"), "{ours}");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let avro = |words: &mut Words| words.kafka_format = Some("avro".into());
    let said = contradiction(|words| words.schema_id = Some(7));
    assert!(said.contains("--schema-id 7") && said.contains("--kafka-format avro"), "{said}");
    let said = contradiction(|words| {
        avro(words);
        (words.schema_id, words.schema_registry) = (Some(7), Some("http://r".into()));
    });
    assert!(said.contains("--schema-id 7") && said.contains("http://r"), "{said}");
    let said = contradiction(|words| {
        avro(words);
        words.kafka_add_timestamp = true;
    });
    assert!(said.contains("%FLOW_END_MILLISECONDS"), "{said}");
    let said = contradiction(|words| {
        avro(words);
        words.template = Some("%IN_BYTES=>octets.in".into());
    });
    assert!(said.contains("-T %IN_BYTES=>octets.in") && said.contains("'octets.in'"), "{said}");
    assert!(
        contradiction(|words| words.kafka_format = Some("xml".into())).contains("json, avro or protobuf")
    );
    for url in ["registry:8081", "http://", "ftp://r", "http://r?x"] {
        let said = contradiction(|words| {
            avro(words);
            words.schema_registry = Some(url.into());
        });
        assert!(said.contains(url) && said.contains("http://registry:8081"), "{said}");
    }
    for (format, id) in [(Some("avro"), None), (Some("avro"), Some(3)), (None, None), (Some("json"), Some(3))]
    {
        let said = contradiction(|words| {
            words.kafka_format = format.map(str::to_owned);
            words.schema_registry = Some("https://me:s3cret@r".into());
            words.schema_id = id;
        });
        assert!(said.contains("basic.auth.user.info") && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn what_would_be_ignored_without_kafka_is_refused() {
    let refused = |words: Words| outputs(&words, "gannet").unwrap_err().to_string();
    for (option, words) in [
        ("--kafka-format", Words { kafka_format: Some("avro".into()), ..Words::default() }),
        ("--kafka-add-timestamp", Words { kafka_add_timestamp: true, ..Words::default() }),
        (
            "--schema-registry",
            Words { schema_registry: Some("http://me:s3cret@r".into()), ..Words::default() },
        ),
        ("--schema-id", Words { schema_id: Some(3), ..Words::default() }),
    ] {
        let said = refused(words);
        assert!(
            said.contains(option) && said.contains("--kafka 'BROKERS;TOPIC'") && !said.contains("s3cret"),
            "{said}"
        );
    }
    assert_eq!(outputs(&Words::default(), "gannet").unwrap().0.len(), 0);
}
