use std::io::Write;

use clap::Parser;

use super::super::{Config, Error as ConfigError};
use super::*;

/// One line of the guide's table for each option of a program.
fn rows(program: Program) -> String {
    program.table().iter().map(row).collect()
}

fn row(entry: &Entry) -> String {
    let long = entry.long.map(|long| format!("`--{long}`"));
    let short = entry.short.map(|short| format!("`-{short}`"));
    let names = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    let here = match entry.here {
        Here::Same("") => "the same".to_owned(),
        Here::Same(difference) => format!("the same; {difference}"),
        Here::As(ours, difference) => {
            let ours = format!("`{}`", ours.join(" ").replace("{}", "VALUE"));
            if difference.is_empty() { ours } else { format!("{ours}; {difference}") }
        }
        Here::Instead(instead) => format!("no: {instead}"),
    };
    // A bar would end the cell.
    format!("| {names} | {} | {} |\n", entry.meaning, here.replace('|', "\\|"))
}

fn words(text: &str) -> Result<Vec<String>, Error> {
    let all = std::iter::once("gannet-probe").chain(text.split_whitespace()).map(OsString::from);
    Ok(arguments(all)?.into_iter().map(|word| word.into_string().unwrap()).skip(1).collect())
}

fn load(arguments: &str) -> Result<Config, ConfigError> {
    let line = std::iter::once("gannet-probe".to_owned()).chain(words(arguments).unwrap());
    let interface = |name: &str| crate::run::host::Interface {
        name: name.into(),
        index: 7,
        hardware_type: 1,
        mac_address: [2; 6],
        up: true,
        addresses: vec![],
    };
    CommandLine::try_parse_from(line).unwrap().config(&[interface("eno1"), interface("eno2")])
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn the_guide_has_the_table_of_the_code() {
    let guide = include_str!("../../../../deploy/guide/ntop-options.md");
    for program in [Program::Nprobe, Program::Cento] {
        let rows = rows(program);
        assert!(guide.contains(&rows), "deploy/guide/ntop-options.md is to have these lines:\n{rows}");
    }
}

#[test]
fn what_the_table_calls_the_same_is_here_and_what_it_refuses_is_not() {
    let command = CommandLine::command();
    let names = |argument: &clap::Arg| {
        let longs = argument.get_long_and_visible_aliases().unwrap_or_default();
        let aliases = argument.get_all_aliases().unwrap_or_default();
        longs.into_iter().chain(aliases).map(str::to_owned).collect::<Vec<_>>()
    };
    for entry in Program::Nprobe.table() {
        let by_short =
            entry.short.map(|short| command.get_arguments().any(|one| one.get_short() == Some(short)));
        let by_long =
            entry.long.map(|long| command.get_arguments().any(|one| names(one).contains(&long.to_owned())));
        let is_here = matches!(entry.here, Here::Same(_));
        for found in [by_short, by_long].into_iter().flatten() {
            assert_eq!(found, is_here, "{entry:?}");
        }
    }
}

#[test]
fn an_option_of_ntops_that_is_not_here_is_named_with_what_to_use() {
    for (arguments, option, instead) in [
        ("-i eno1 -n 127.0.0.1:2055", "-n: nProbe's", "--ntopng kafka://HOST"),
        ("-i eno1 -V 9", "-V: nProbe's", "--ntopng"),
        ("-i eno1 -U257", "-U: nProbe's", "--ntopng"),
        ("-P /tmp -i eno1", "-P: nProbe's", "--flows FILE"),
        ("-i eno1 --collector-port=2055", "--collector-port: nProbe's", "gannet-collector"),
        ("--cento -i eno1 -M 3", "-M: Cento's", "-W"),
    ] {
        let said = words(arguments).unwrap_err().to_string();
        assert!(said.contains(option) && said.contains(instead) && said.contains("mend:"), "{said}");
    }
}

#[test]
fn values_are_not_taken_for_options() {
    for arguments in ["-i -n", "-f -V", "--probe-id -P", "spool drop zmq"] {
        assert_eq!(words(arguments).unwrap().join(" "), arguments);
    }
}

#[test]
fn cento_has_its_own_meanings_when_it_is_named_and_only_then() {
    let config = load("--cento -i eno1 -g 0,1 -W 1000 -z").unwrap();
    assert_eq!((config.workers.cores, config.flows.capacity), (vec![0, 1], 1000));
    assert_eq!((config.flows.active_timeout.as_secs(), config.flows.idle_timeout.as_secs()), (300, 180));
    assert_eq!(
        (config.user, load("--cento -i eno1 -t 7").unwrap().flows.active_timeout.as_secs()),
        (None, 7)
    );
    assert_eq!(load("-i eno1 --dont-drop-privileges").unwrap().user, None);
    assert!(words("-i eno1 -g /run/pid").unwrap_err().to_string().contains("nProbe's"));
}

#[test]
fn a_file_of_nprobes_says_what_the_command_line_says_which_wins() {
    let conf = file(
        "# a probe\n\n-i=eno1\n--ntopng=kafka://192.168.2.225\n-t=60\n--no-promisc=\n-f=\"udp port 53\"\n--dont-drop-privileges=\n",
    );
    let path = conf.path().display();
    let expected =
        load("-i eno1 --ntopng kafka://192.168.2.225 -t 60 --no-promisc --user root").unwrap().output.sinks;
    for arguments in [format!("{path}"), format!("--config {path}")] {
        let config = load(&arguments).unwrap();
        assert_eq!((config.flows.active_timeout.as_secs(), config.user.as_deref()), (60, None));
        assert_eq!(config.capture.expression.unwrap().text(), "udp port 53");
        assert!(!config.capture.promiscuous);
        assert_eq!(config.output.sinks.len(), expected.len());
    }
    let config = load(&format!("{path} -t 90 -i eno2")).unwrap();
    assert_eq!((config.flows.active_timeout.as_secs(), config.inputs[0].name()), (90, "eno2".to_owned()));
    let cento = file("--cento=\n-i=eno1\n-g=2-3\n");
    assert_eq!(load(&cento.path().display().to_string()).unwrap().workers.cores, [2, 3]);
}

#[test]
fn every_name_of_an_option_takes_its_value_in_a_file() {
    let conf = file("-i=eno1\n--unprivileged-user=metering\n");
    assert_eq!(load(&conf.path().display().to_string()).unwrap().user.as_deref(), Some("metering"));
}

#[test]
fn a_capture_that_is_taken_for_a_configuration_is_not_read_whole() {
    let capture = file("");
    capture.as_file().set_len(1 << 32).unwrap();
    let said = load(&capture.path().display().to_string()).unwrap_err().to_string();
    assert!(said.contains("longer than 1048576 octets"), "{said}");
}

#[test]
fn a_line_that_is_no_option_is_not_repeated() {
    for text in ["sasl.password=s3cret\n", "--kafka-conf sasl.password:s3cret\n"] {
        let conf = file(&format!("-i=eno1\n{text}"));
        let said = load(&conf.path().display().to_string()).unwrap_err().to_string();
        assert!(said.contains("line 2") && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_line() {
    for (text, line, reason) in [
        ("-i=eno1\n-n=127.0.0.1:2055\n", 2, "-n: nProbe's"),
        ("-i=eno1\n\n# x\n-t\n", 4, "has no '='"),
        ("-i=eno1\n-t=long\n", 2, "invalid value 'long'"),
        ("-i=eno1\nlifetime=3\n", 2, "begins with no dash"),
        ("-i=eno1\n--no-promisc=1\n", 2, "takes no value"),
        ("-i=eno1\n--colour=1\n", 2, "--colour"),
    ] {
        let conf = file(text);
        let said = load(&conf.path().display().to_string()).unwrap_err().to_string();
        let at = format!("{}, line {line}", conf.path().display());
        assert!(said.contains(&at) && said.contains(reason), "{said}");
    }
}
