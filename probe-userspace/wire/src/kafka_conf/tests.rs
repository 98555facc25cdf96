use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::endpoint::Endpoint;

fn file(name: &str, text: &str, mode: u32) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

fn read(words: &[&str]) -> Result<KafkaConf, Error> {
    KafkaConf::read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), None, &["acks"])
}

fn broker(url: &str) -> Kafka {
    let Endpoint::Kafka(endpoint) = url.parse().unwrap() else { panic!() };
    endpoint
}

#[test]
fn a_file_has_a_setting_a_line() {
    let text = "# of the broker\n\nsasl.username = probe\nsasl.password=a=b \n";
    let (_folder, path) = file("kafka.conf", text, 0o640);
    let conf = read(&["client.rack=r1", &format!("@{path}")]).unwrap();
    assert_eq!((conf.get("sasl.username"), conf.get("sasl.password")), (Some("probe"), Some("a=b")));
    assert_eq!(conf.get("client.rack"), Some("r1"));
    assert!(conf.sentences([&broker("kafka://a")]).is_empty());
}

#[test]
fn a_secret_is_neither_shown_nor_taken_from_a_file_that_others_read() {
    let conf = read(&["sasl.password=s3cret", "ssl.key.password=s3cret"]).unwrap();
    assert!(!format!("{conf:?}").contains("s3cret"));
    let said = conf.sentences([]);
    assert!(
        said.len() == 2 && said[0].contains("list of processes") && !said[0].contains("s3cret"),
        "{said:?}"
    );
    for mode in [0o644, 0o604, 0o660] {
        let (_folder, path) = file("kafka.conf", "sasl.password=s3cret\n", mode);
        let refusal = read(&[&format!("@{path}")]).unwrap_err().to_string();
        assert!(refusal.contains("chmod 600") && !refusal.contains("s3cret"), "{refusal}");
        let of_toml = KafkaConf::read(&["sasl.password=s3cret".to_owned()], Some(Path::new(&path)), &[]);
        assert!(matches!(of_toml, Err(Error::Mode { .. })));
    }
    let (_folder, path) = file("kafka.conf", "client.rack=r1\n", 0o644);
    assert!(read(&[&format!("@{path}")]).is_ok(), "it has no secret");
}

#[test]
fn what_is_named_is_read_at_the_start() {
    let (_folder, path) = file("ca.pem", "certificate", 0o644);
    let conf = read(&[&format!("ssl.ca.location={path}")]).unwrap();
    assert_eq!((conf.get("ssl.ca.location"), conf.get("ssl.ca.pem")), (None, Some("certificate")));
    assert!(matches!(read(&[&format!("ssl.key.location={path}")]), Err(Error::Mode { .. })));
    assert_eq!(read(&["ssl.ca.location=/"]).unwrap().get("ssl.ca.location"), Some("/"));
    let refusal = read(&["ssl.ca.location=/nowhere"]).unwrap_err().to_string();
    assert!(refusal.contains("ssl.ca.location=/nowhere: No such file"), "{refusal}");
}

#[test]
fn the_protocol_follows_url_and_settings() {
    let protocol = |url, words: &[&str]| {
        read(words)
            .unwrap()
            .security_protocol(&broker(url))
            .map(str::to_owned)
            .map_err(|error| error.to_string())
    };
    let sasl = ["sasl.mechanism=PLAIN", "sasl.username=probe"];
    assert_eq!(protocol("kafka://a", &[]).unwrap(), "plaintext");
    assert_eq!(protocol("kafka-ssl://a", &[]).unwrap(), "ssl");
    assert_eq!(protocol("kafka://a", &sasl).unwrap(), "sasl_plaintext");
    assert_eq!(protocol("kafka-ssl://a", &sasl).unwrap(), "sasl_ssl");
    assert_eq!(protocol("kafka://a", &["security.protocol=ssl"]).unwrap(), "ssl");
    assert!(
        protocol("kafka-ssl://a", &["security.protocol=SASL_PLAINTEXT"]).unwrap_err().contains("turns off")
    );
    let conf = read(&sasl).unwrap();
    assert!(conf.sentences([&broker("kafka://a")])[0].contains("in the clear"));
    assert!(conf.sentences([&broker("kafka-ssl://a")]).is_empty());
}

#[test]
fn what_is_no_setting_is_refused_without_its_value() {
    assert!(matches!(read(&["s3cret"]), Err(Error::Word)));
    assert!(!read(&["s3cret"]).unwrap_err().to_string().contains("s3cret"));
    assert!(matches!(read(&["acks=0"]), Err(Error::Ours(key)) if key == "acks"));
    assert!(matches!(read(&["@/nowhere"]), Err(Error::Unreadable { .. })));
    let (_folder, path) = file("kafka.conf", "s3cret\n", 0o600);
    let refusal = read(&[&format!("@{path}")]).unwrap_err().to_string();
    assert!(refusal.contains("line 1 has no '='") && !refusal.contains("s3cret"), "{refusal}");
    assert!(matches!(read(&["ssl.ca.location=/dev/zero"]), Err(Error::Unreadable { .. })));
}
