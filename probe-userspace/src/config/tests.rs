use std::io::Write;

use clap::Parser;
use clap::error::ErrorKind;

use super::*;
use crate::export::zmq::{Acknowledge, ReaderKey};

fn interface(name: &str) -> Interface {
    Interface {
        name: name.into(),
        index: 7,
        hardware_type: 1,
        mac_address: [2; 6],
        up: true,
        addresses: vec![],
    }
}

fn load(arguments: &str) -> Result<Config, Error> {
    let arguments = ["gannet-probe"].into_iter().chain(arguments.split_whitespace());
    CommandLine::try_parse_from(arguments).unwrap().config(&[interface("eno1"), interface("eno2")])
}

fn message(arguments: &str) -> String {
    load(arguments).unwrap_err().to_string()
}

fn toml(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_state_directory_in_front_of_the_sub_command_is_refused_and_not_ignored() {
    let parse = |words: &str| {
        CommandLine::try_parse_from(["gannet-probe"].into_iter().chain(words.split_whitespace()))
    };
    let refused = parse("--state-dir /x spool drop zmq").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ArgumentConflict);
    assert!(refused.to_string().contains("--state-dir"), "{refused}");
    assert!(parse("spool drop zmq --state-dir /x").unwrap().command.is_some());
}

#[test]
fn the_defaults_are_those_of_nprobe() {
    let config = load("-i eno1").unwrap();
    assert_eq!(config.flows.active_timeout, Duration::from_secs(120));
    assert_eq!(config.flows.active_perturbation, Duration::ZERO);
    assert_eq!(config.flows.idle_timeout, Duration::from_secs(30));
    assert_eq!(config.user.as_deref(), Some("nobody"));
    assert_eq!(config.output.kafka.prefix, "gannet");
    assert!(config.capture.promiscuous && config.http.is_none());
}

#[test]
fn inputs_are_repeated_or_listed() {
    let names = |arguments| load(arguments).unwrap().inputs.iter().map(Input::name).collect::<Vec<_>>();
    assert_eq!(names("-i eno1 -i eno2"), names("-i eno1,eno2"));
}

#[test]
fn an_unknown_interface_is_answered_with_those_there_are() {
    let message = message("-i eth9");
    assert!(message.contains("-i eth9") && message.contains("eno1, eno2"), "{message}");
}

#[test]
fn an_existing_file_is_an_input() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = load(&format!("-i {}", file.path().display())).unwrap();
    assert_eq!(config.inputs, [Input::File(file.path().to_path_buf())]);
}

#[test]
fn an_input_named_twice_is_refused() {
    assert!(message("-i eno1,eno1").contains("twice"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let (folder, name) =
        (file.path().parent().unwrap().display(), file.path().file_name().unwrap().display());
    assert!(message(&format!("-i {folder}/{name} -i {folder}/./{name}")).contains("twice"));
}

#[test]
fn a_file_beside_an_interface_is_refused() {
    let message = message("-i - -i eno1");
    assert!(message.contains("-i - is a capture file") && message.contains("-i eno1"), "{message}");
}

#[test]
fn no_input_is_refused() {
    assert!(message("").contains("-i is missing"));
}

#[test]
fn every_refusal_names_option_value_and_mend() {
    for (arguments, option) in [
        ("-t 0", "-t 0"),
        ("-d 90000", "-d 90000"),
        ("-M 1", "-M 1"),
        ("--lifetime-perturbation 120", "--lifetime-perturbation 120"),
        ("-w 0", "-w 0"),
        ("--ring-size 1000", "--ring-size 1000"),
        ("--ring-size 8", "--ring-size 8"),
        ("-s 40", "-s 40"),
        ("--shunt 1000 -f udp", "-f 'udp'"),
        ("--frame-size 8192", "--frame-size 8192"),
        ("--busy-poll 5000", "--busy-poll 5000"),
        ("--workers 0", "--workers 0"),
        ("--workers 65", "--workers 65"),
        ("--cpu-affinity 0-64", "--cpu-affinity 65"),
        ("--cpu-affinity 1,x", "--cpu-affinity 1,x"),
        ("--workers 3 --cpu-affinity 0,1", "--workers 3 and --cpu-affinity 0,1"),
        ("--queues 3-1", "--queues 3-1"),
        ("--topic-prefix a/b", "--topic-prefix a/b"),
        ("--probe-id 7", "--probe-id 7"),
        ("--http everywhere", "--http everywhere"),
        ("--capture-filter colour", "--capture-filter 'colour'"),
        ("--ntopng kafka://h --ntopng kafka://h:9092", "--ntopng kafka://h:9092"),
    ] {
        let message = message(&format!("-i eno1 {arguments}"));
        assert!(message.contains(option) && message.contains("mend:"), "{message}");
    }
}

#[test]
fn a_bad_url_names_its_option() {
    let message = message("-i eno1 --ntopng 192.168.2.225");
    assert!(message.contains("--ntopng") && message.contains("kafka://192.168.2.225"), "{message}");
}

#[test]
fn old_names_work_and_warn() {
    let output = load("-i eno1 --zmq tcp://127.0.0.1:5556").unwrap().output;
    assert_eq!(output.sinks[0].to_string(), "zmq://127.0.0.1:5556");
    let said = output.sentences.join("\n");
    assert_eq!(said, "--zmq tcp://127.0.0.1:5556 is deprecated: write --ntopng zmq://127.0.0.1:5556");
}

#[test]
fn whoever_names_a_key_gets_encryption() {
    let zmq = |words: &str| load(&format!("-i eno1 --state-dir /state {words}")).unwrap().output.zmq;
    assert_eq!(zmq(""), Zmq::default());
    assert_eq!(
        zmq("--zmq-acknowledge require --ntopng zmq://127.0.0.1:5556").acknowledge,
        Acknowledge::Require
    );
    assert_eq!(zmq("--zmq-encryption").encryption.unwrap().state_dir, Path::new("/state"));
    let key = zmq("--zmq-encryption-key /keys/zmq-key.priv").encryption.unwrap().key;
    assert_eq!(key.as_deref(), Some(Path::new("/keys/zmq-key.priv")));
    assert!(zmq("--zmq-clients /keys/clients").encryption.is_some());
    let ntopng = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";
    let (text, file) =
        (zmq(&format!("--zmq-encryption-key {ntopng}")), zmq("--zmq-encryption-key /keys/zmq-key.pub"));
    assert_eq!(text.encryption.unwrap().reader, Some(ReaderKey::Text(ntopng.parse().unwrap())));
    assert_eq!(file.encryption.unwrap().reader, Some(ReaderKey::File("/keys/zmq-key.pub".into())));
    let both =
        load(&format!("-i eno1 --zmq-clients /keys/clients --zmq-encryption-key {ntopng}")).unwrap_err();
    assert!(both.to_string().contains("that reader is the server"), "{both}");
}

#[test]
fn cores_give_the_number_of_workers() {
    let workers = load("-i eno1 --cpu-affinity 2-3,0").unwrap().workers;
    assert_eq!(workers, Workers { count: Some(3), cores: vec![2, 3, 0] });
}

#[test]
fn a_port_alone_is_served_on_loopback() {
    let http = |word: &str| load(&format!("-i eno1 --http {word}")).unwrap().http.unwrap().to_string();
    assert_eq!(http("9101"), "127.0.0.1:9101");
    assert_eq!(http(":9101"), "127.0.0.1:9101");
    assert_eq!(http("0.0.0.0:9101"), "0.0.0.0:9101");
    assert_eq!(http("[::1]:9101"), "[::1]:9101");
}

#[test]
fn a_file_says_what_the_command_line_says() {
    let file = toml(
        "interface = [\"eno1\", \"eno2\"]\nntopng = [\"kafka://192.168.2.225\"]\nlifetime-timeout = 60\n\
         no-promisc = true\ncapture = \"xdp\"\ncpu-affinity = \"0,1\"\nuser = \"root\"\n",
    );
    let from_file = load(&format!("--config {}", file.path().display())).unwrap();
    let from_line = load(
        "-i eno1,eno2 --ntopng kafka://192.168.2.225 -t 60 --no-promisc --capture xdp --cpu-affinity 0,1 --user root",
    );
    assert_eq!(from_file, from_line.unwrap());
}

#[test]
fn topics_are_made_as_asked_and_settings_go_to_the_client() {
    let file = toml(
        "interface = [\"eno1\"]\ntopic-prefix = \"edge\"\ntopic-partitions = 12\ntopic-replication = 3\n\
         topic-retention = \"36h\"\nkafka-conf = [\"sasl.username=probe\", \"sasl.password=a=b\"]\n",
    );
    let kafka = load(&format!("--config {}", file.path().display())).unwrap().output.kafka;
    assert_eq!((kafka.prefix.as_str(), kafka.partitions, kafka.replication), ("edge", Some(12), Some(3)));
    assert_eq!(kafka.retention, Some(Duration::from_secs(36 * 3_600)));
    assert_eq!(kafka.settings.get("sasl.password"), Some("a=b"));
    assert!(message("-i eno1 --topic-partitions 0").contains("--topic-partitions 0"));
    assert!(message("-i eno1 --kafka-conf sasl").contains("KEY=VALUE"));
    assert!(message("-i eno1 --kafka-conf transactional.id=x").contains("transactional.id"));
    for wrong in ["7", "7w", "d", "-7d", "59m", "0h", "99999d"] {
        let message = message(&format!("-i eno1 --topic-retention={wrong}"));
        assert!(
            message.contains(&format!("--topic-retention {wrong}")) && message.contains("36h"),
            "{message}"
        );
    }
}

#[test]
fn a_password_in_a_file_that_others_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let file = toml("interface = [\"eno1\"]\nkafka-conf = [\"sasl.password=s3cret\"]\n");
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).unwrap();
    let path = file.path().display();
    let message = message(&format!("--config {path}"));
    assert!(message.contains("chmod 600") && !message.contains("s3cret"), "{message}");
    let config = load(&format!("--config {path} --kafka-conf sasl.username=probe")).unwrap();
    assert_eq!(config.output.kafka.settings.get("sasl.password"), None, "the command line wins");
}

#[test]
fn the_command_line_wins_over_the_file() {
    let file = toml("interface = [\"eno1\"]\nlifetime-timeout = 60\nidle-timeout = 5\n");
    let config = load(&format!("-t 90 -i eno2 --config {}", file.path().display())).unwrap();
    assert_eq!(config.flows.active_timeout, Duration::from_secs(90));
    assert_eq!(config.flows.idle_timeout, Duration::from_secs(5));
    assert_eq!(config.inputs[0].name(), "eno2");
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    let file = toml("interface = [\"eno1\"]\nlifetime = 60\n");
    let message = message(&format!("--config {}", file.path().display()));
    assert!(message.contains("lifetime") && message.contains("lifetime-timeout"), "{message}");
    assert!(!message.contains("default."), "{message}");
}

#[test]
fn a_key_of_the_wrong_type_is_an_error_that_names_it() {
    let file = toml("interface = [\"eno1\"]\nlifetime-timeout = \"long\"\n");
    let message = message(&format!("--config {}", file.path().display()));
    assert!(message.contains("lifetime-timeout") && message.contains("long"), "{message}");
}

#[test]
fn the_command_line_is_consistent_and_help_shows_every_group() {
    use clap::CommandFactory;
    CommandLine::command().debug_assert();
    let help = CommandLine::try_parse_from(["gannet-probe", "--help"]).unwrap_err();
    assert_eq!(help.kind(), ErrorKind::DisplayHelp);
    let help = help.to_string();
    assert!(
        help.lines().all(|line| line.len() <= 130),
        "keep lines short: clap wraps them where there is a terminal alone"
    );
    for group in ["Input:", "Flows:", "Output:", "Tuning:", "Running:", "Examples:"] {
        assert!(help.contains(group), "{group}");
    }
}

/// The shipped file with its examples switched on as well.
fn shipped_with_every_key() -> String {
    let is_key = |line: &str| {
        line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    };
    let text = include_str!("../../../deploy/config/probe.toml");
    let lines = text.lines().map(|line| line.strip_prefix('#').filter(|rest| is_key(rest)).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_runs_as_it_is_and_with_every_key_switched_on() {
    let plain = toml(include_str!("../../../deploy/config/probe.toml"));
    load(&format!("--config {}", plain.path().display())).unwrap();
    // Four workers for its four cores; one bus under two names would be refused, and so is an expression where flows are shunted, or
    // an id of a schema beside a registry that gives it.
    let every = shipped_with_every_key()
        .replace("\nbpf-filter", "\n#bpf-filter")
        .replace("\nschema-id", "\n#schema-id");
    let every = toml(&every);
    load(&format!("--config {}", every.path().display())).unwrap();
}

#[test]
fn the_shipped_file_shows_every_option() {
    use clap::CommandFactory;
    let shipped = shipped_with_every_key();
    let not_in_a_file = ["config", "check-config", "help", "version"];
    for option in CommandLine::command().get_arguments().filter_map(|argument| argument.get_long()) {
        let shown = shipped.lines().any(|line| line.starts_with(&format!("{option} = ")));
        assert_ne!(shown, not_in_a_file.contains(&option), "--{option} in deploy/config/probe.toml");
    }
}

#[test]
fn an_output_is_no_input_and_no_other_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("trace.pcap"), "x").unwrap();
    std::os::unix::fs::symlink(path("trace.pcap"), path("link")).unwrap();
    for (input, outputs, both) in [
        ("trace.pcap", format!("--flows {}", path("trace.pcap")), ["-i ", "--flows "]),
        ("trace.pcap", format!("--ledger {}", path("link")), ["-i ", "--ledger "]),
        ("link", format!("--flows {}", path("./trace.pcap")), ["-i ", "--flows "]),
        (
            "trace.pcap",
            format!("--flows {} --ledger {}", path("new"), path("./new")),
            ["--flows ", "--ledger "],
        ),
        ("trace.pcap", "--flows - --ledger -".into(), ["--flows -", "--ledger -"]),
    ] {
        let message = message(&format!("-i {} {outputs}", path(input)));
        assert!(both.iter().all(|option| message.contains(option)) && message.contains("mend:"), "{message}");
    }
    load(&format!("-i {} --flows {} --ledger {}", path("link"), path("a"), path("b"))).unwrap();
    load(&format!("-i {} --flows /dev/null --ledger /dev/null", path("link"))).unwrap();
}

#[test]
fn a_directory_is_called_one() {
    let folder = tempfile::tempdir().unwrap();
    let message = message(&format!("-i {}", folder.path().display()));
    assert!(message.contains("is a directory") && message.contains("mend:"), "{message}");
}
