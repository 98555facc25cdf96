//! What scripts call, and `gannet-collector lua`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod publisher;
    pub(crate) mod scripts;
}

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use collector::testing::{record, sealed, stamp};
use flow_wire::record::{FlowEndReason, FlowRecord};
use support::collector::{Collector, free_port, wait_until};
use support::publisher::{Publisher, batch};
use support::scripts::{Scripts, counted};

/// Answers each request in the same way, and passes on what came.
fn server(answer: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut came) = (stream.unwrap(), Vec::new());
            let is_whole = |came: &[u8]| {
                let text = String::from_utf8_lossy(came);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                body.len() >= length.unwrap_or(0)
            };
            while !is_whole(&came) {
                let mut chunk = [0; 1024];
                let count = stream.read(&mut chunk).unwrap();
                assert_ne!(count, 0);
                came.extend_from_slice(&chunk[..count]);
            }
            sender.send(String::from_utf8(came).unwrap()).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (format!("http://{address}/hook"), receiver)
}

fn lua(script: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gannet-collector")).arg("lua").arg(script).args(words).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_script_is_tried_on_the_terminal_without_a_collector() {
    let scripts = Scripts::new(&[
        ("hello.lua", "print('hello', 1 + 1) io.write('a', 'b\\n') ntop.alert('odd') tprint({1, 2})"),
        ("wrong.lua", "print('before')\nerror('no')"),
        ("hang.lua", "while true do pcall(function() while true do end end) end"),
        ("uses.lua", "print(require('names').name)"),
        ("names.lua", "return { name = 'beside' }"),
    ]);
    let try_one = |name: &str, words: &[&str]| said(&lua(&scripts.directory().join(name), words));
    let (code, out, err) = try_one("hello.lua", &[]);
    assert_eq!((code, out.as_str()), (Some(0), "hello\t2\nab\n[1,2]\n"), "{err}");
    assert!(err.contains("WARN alert: odd"), "{err}");
    let (code, out, err) = try_one("wrong.lua", &[]);
    assert_eq!((code, out.as_str()), (Some(1), "before\n"));
    assert!(err.contains("script wrong.lua: wrong.lua:2: no"), "{err}");
    let (code, _, err) = try_one("hang.lua", &["--script-time-limit", "1s"]);
    assert!(code == Some(1) && err.contains("its process was killed"), "{code:?} {err}");
    assert_eq!(try_one("uses.lua", &[]).1, "beside\n");
    let (code, out, err) = try_one("nowhere.lua", &[]);
    assert!(code == Some(1) && out.is_empty() && err.contains("nowhere.lua"), "{err}");
    let (code, _, err) = try_one("hello.lua", &["--script-time-limit", "soon"]);
    assert!(code == Some(2) && err.contains("--script-time-limit 'soon'"), "{err}");
}

#[test]
fn statistics_are_those_of_the_api_and_flows_those_of_the_store() {
    let scripts = Scripts::new(&[
        ("stats.lua", "
            local json = require 'json'
            local stats, ifstats = ntop.getStats(), interface.getStats()
            print(stats.flows, stats.packets, stats.octets, stats.verdict, #stats.probes)
            print(ifstats.stats.flows, ifstats.stats.bytes, ifstats.stats.drops)
            local top = ntop.get('/api/v1/top', {by = 'proto', measure = 'flows', from = 0})
            print(top.total.flows, json.decode(json.encode(top)).total.flows, pcall(ntop.get, '/api/v1/top', {by = 'nothing'}))"),
        ("flows.lua", "
            local seen = 0
            return function(flow)
               seen = seen + 1
               print(seen, flow.source_ip_address, flow.IN_BYTES == flow.octet_delta_count, flow.FIRST_SWITCHED, flow.flow_end_reason)
               if seen == 3 then error('third') end
            end"),
    ]);
    let publisher = Publisher::bind();
    let collector = Collector::start(&scripts.beside("store"), &[&publisher.url]);
    publisher.wait_for_subscriber();
    let sent = [batch(0), batch(1)];
    sent.iter().for_each(|one| publisher.send(one));
    publisher.cut(0, 2, &[&sent[0], &sent[1]], true);
    assert_eq!(collector.ask(&["ledger", "--check", "--wait", "30"])["verdict"], "balanced");
    let probes = collector.get("/api/v1/probes").1;
    let stored = &probes["probes"][0]["stored"];
    let (code, out, err) = said(&lua(&scripts.directory().join("stats.lua"), &["--http", collector.http()]));
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], format!("20\t{}\t{}\tbalanced\t1", stored["packets"], stored["octets"]));
    assert_eq!(lines[1], format!("20\t{}\t0", stored["octets"]));
    assert!(lines[2].starts_with("20\t20\tfalse\t"), "{out}");

    let (code, out, err) =
        said(&lua(&scripts.directory().join("flows.lua"), &["--http", collector.http(), "--flows", "5"]));
    let known = collector.get("/api/v1/flows?limit=5").1;
    let oldest_first = known["flows"].as_array().unwrap().iter().rev();
    let expected = oldest_first.enumerate().map(|(at, flow)| {
        let begin = flow["flow_start_nanoseconds"].as_u64().unwrap() / 1_000_000_000;
        format!("{}\t{}\ttrue\t{begin}\tidle_timeout\n", at + 1, flow["source_ip_address"].as_str().unwrap())
    });
    assert_eq!(out, expected.collect::<String>());
    assert!(
        code == Some(1)
            && err.contains("flows.lua:6: third")
            && err.contains("5 flows, 1 ended with an error"),
        "{err}"
    );
}

#[test]
fn a_webhook_gets_what_a_script_posts_and_the_script_its_answer() {
    let (url, requests) = server(
        "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone",
    );
    let text = format!("
        local function show(...)
           local answer, why = ...
           print(answer and answer.RESPONSE_CODE, answer and answer.CONTENT, answer and answer.CONTENT_TYPE, why)
        end
        show(ntop.httpPost('{url}', '{{\"a\":1}}'))
        show(ntop.httpPost('{url}', 'x', 'user', 'secret', 2, true))
        show(ntop.httpPost('{url}', 'y', {{bearer = 'token', return_content = true, content_type = 'text/plain'}}))
        show(ntop.httpGet('{url}?q=1'))
        show(ntop.httpGet('http://127.0.0.1:1/', nil, nil, 1))");
    let scripts = Scripts::new(&[("hook.lua", &text)]);
    let (code, out, err) = said(&lua(&scripts.directory().join("hook.lua"), &[]));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(
        lines[..4],
        [
            "201\tnil\ttext/plain\tnil",
            "201\tdone\ttext/plain\tnil",
            "201\tdone\ttext/plain\tnil",
            "201\tdone\ttext/plain\tnil"
        ]
    );
    assert!(lines[4].starts_with("nil\tnil\tnil\t'http://127.0.0.1:1/': "), "{out}");
    let came: Vec<_> = requests.try_iter().collect();
    assert!(
        came[0].starts_with("POST /hook HTTP/1.1\r\n") && came[0].ends_with("\r\n\r\n{\"a\":1}"),
        "{}",
        came[0]
    );
    assert!(came[0].contains("content-type: application/json"), "{}", came[0]);
    assert!(came[1].contains("authorization: Basic dXNlcjpzZWNyZXQ="), "{}", came[1]);
    assert!(
        came[2].contains("authorization: Bearer token") && came[2].contains("content-type: text/plain"),
        "{}",
        came[2]
    );
    assert!(came[3].starts_with("GET /hook?q=1 HTTP/1.1\r\n"), "{}", came[3]);
}

#[test]
fn the_shipped_script_for_long_flows_says_each_pair_once() {
    let shipped = include_str!("../../deploy/scripts/flow/long.lua");
    // What a test's flows carry is less than what an operator wants to hear of.
    let edited =
        shipped.replace("OCTETS, QUIET = 3600, 10 * 1024 * 1024 * 1024, 600", "OCTETS, QUIET = 3600, 1, 600");
    assert_ne!(shipped, edited);
    let scripts = Scripts::new(&[("flow/long.lua", &edited)]);
    let publisher = Publisher::bind();
    let collector = scripts.collect(&[&publisher.url], &[]);
    publisher.wait_for_subscriber();
    (0..20).for_each(|sequence| publisher.send(&batch(sequence)));
    wait_until("all are seen", || counted(&collector, "seen_flows", "flow/long.lua", "") == 200);
    let top = |by: &str| {
        collector.get(&format!("/api/v1/top?by={by}&limit=1000&from=0")).1["rows"].as_array().unwrap().len()
            as u64
    };
    assert!(top("src") > 1);
    let alerts = counted(&collector, "alerts", "flow/long.lua", "");
    let lines = collector.log();
    let said: std::collections::BTreeSet<_> =
        lines.lines().filter_map(|line| line.split("alert: ").nth(1)?.split(" port ").next()).collect();
    assert_eq!(
        (said.len() as u64, lines.matches("alert: ").count() as u64),
        (alerts, alerts),
        "a pair was told twice"
    );
    assert!(alerts > 10, "{lines}");
}

#[test]
fn the_shipped_script_adds_up_a_flow_over_its_active_timeouts() {
    let shipped = include_str!("../../deploy/scripts/flow/long.lua");
    let edited = shipped.replace("SECONDS, OCTETS, QUIET = 3600,", "SECONDS, OCTETS, QUIET = 300,");
    assert_ne!(shipped, edited);
    let scripts = Scripts::new(&[("flow/long.lua", &edited)]);
    let publisher = Publisher::bind();
    let collector = scripts.collect(&[&publisher.url], &[]);
    publisher.wait_for_subscriber();
    // A flow of 6 minutes in three records, and one that ends after each two.
    let part = |port: u16, number: u64, flow_end_reason| FlowRecord {
        source_transport_port: port,
        flow_start_nanoseconds: number * 120_000_000_000,
        flow_end_nanoseconds: (number + 1) * 120_000_000_000,
        flow_end_reason,
        ..record(1)
    };
    let (on, end) = (FlowEndReason::ActiveTimeout, FlowEndReason::EndOfFlow);
    let records = [
        part(1, 0, on),
        part(2, 0, on),
        part(1, 1, on),
        part(2, 1, end),
        part(2, 2, end),
        part(1, 2, end),
        part(1, 3, end),
    ];
    publisher.send(&sealed(stamp(0, 0), &records));
    wait_until("all are seen", || {
        counted(&collector, "seen_flows", "flow/long.lua", "") == records.len() as u64
    });
    let log = collector.log();
    let alerts: Vec<_> = log.lines().filter_map(|line| line.split("alert: ").nth(1)).collect();
    assert!(alerts.len() == 1 && alerts[0].contains(": 360 s, "), "{log}");
}

/// `openssl s_server` with a certificate of its own; ended with the test.
struct Secure {
    process: std::process::Child,
    url: String,
    certificate: std::path::PathBuf,
}

impl Secure {
    fn start(scripts: &Scripts) -> Self {
        let (key, certificate) = (scripts.beside("key.pem"), scripts.beside("certificate.pem"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let address = format!("127.0.0.1:{}", free_port());
        let mut server = Command::new("openssl");
        server
            .args(["s_server", "-quiet", "-www", "-accept", &address, "-key"])
            .arg(&key)
            .arg("-cert")
            .arg(&certificate);
        let process =
            server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the server listens", || TcpStream::connect(&address).is_ok());
        Self { process, url: format!("https://{address}/"), certificate }
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        // It may have ended; there is nothing to be done about either.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_webhook_over_tls_is_believed_only_with_a_certificate_that_the_host_knows() {
    let scripts = Scripts::new(&[]);
    let server = Secure::start(&scripts);
    let text = format!(
        "local answer, why = ntop.httpGet('{}') print(answer and answer.RESPONSE_CODE, why)",
        server.url
    );
    scripts.write("hook.lua", &text);
    // The script's process is nobody where the test is root, and a test's directory is its own.
    let known = std::env::temp_dir().join(format!("gannet-certificate-{}.pem", std::process::id()));
    std::fs::copy(&server.certificate, &known).unwrap();
    let run = |file: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet-collector"));
        command.arg("lua").arg(scripts.directory().join("hook.lua")).env_remove("SSL_CERT_FILE");
        said(&command.envs(file.map(|file| ("SSL_CERT_FILE", file))).output().unwrap()).1
    };
    let (trusted, foreign) = (run(Some(&known)), run(None));
    std::fs::remove_file(&known).unwrap();
    assert_eq!(trusted, "200\tnil\n");
    assert!(foreign.starts_with("nil\t") && foreign.contains("certificate"), "{foreign}");
}
