//! The router, its documentation, and what it refuses.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::query::words::{FLOWS, TIMESERIES, TOP};
use crate::store::Writer as _;
use crate::store::duckdb::DuckDb;
use crate::testing::{batch, books, intake, message, record, stamp};

/// A server on a port of its own, with one batch in its store.
struct Site {
    address: SocketAddr,
    app: App,
    _directory: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Site {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut store = DuckDb::open(directory.path(), None).unwrap();
        let records: Vec<_> = (0..5).map(record).collect();
        let flows = batch(stamp(0, 0), &records);
        let amount = flow_wire::ledger::Amount { packets: flows.packets, octets: flows.layer2_octets };
        let said = books(0, message(&[(0, 1, 5, amount)], true));
        store.commit(&crate::store::Intake { drained: true, ..intake(vec![flows], vec![said]) }).unwrap();
        let service = Service::offline(store.reader().unwrap(), "test".into());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let app = App::new(Arc::new(service));
        let router = routes(app.clone(), address);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, app, _directory: directory, _runtime: runtime }
    }

    fn send(&self, method: &str, target: &str, host: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        write!(stream, "{method} {target} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    fn get(&self, target: &str) -> (u16, serde_json::Value) {
        let (status, _, body) = self.send("GET", target, "127.0.0.1");
        (status, serde_json::from_str(&body).unwrap_or_default())
    }
}

#[test]
fn every_path_answers_and_says_what_the_page_may_do() {
    let site = Site::start();
    for path in PATHS {
        let (status, head, body) = site.send("GET", path, "127.0.0.1:3000");
        assert_eq!(status, 200, "{path}: {body}");
        for header in ["content-security-policy: default-src 'none'", "nosniff", "no-referrer", "no-store"] {
            assert!(head.contains(header), "{path}: {head}");
        }
    }
    let (status, head, body) = site.send("GET", "/", "localhost");
    assert_eq!(status, 200);
    assert!(head.contains("default-src 'self'") && body.contains("<title>"), "{head}");
}

#[test]
fn answers_are_those_of_the_store() {
    let site = Site::start();
    let (_, flows) = site.get("/api/v1/flows?limit=2&filter=proto=tcp,udp");
    assert_eq!((flows["flows"].as_array().unwrap().len(), &flows["truncated"]), (2, &true.into()));
    let (_, top) = site.get("/api/v1/top?by=src&measure=flows");
    assert_eq!(top["total"]["flows"], 5);
    let (_, series) = site.get("/api/v1/timeseries?measure=packets");
    let (_, all) = site.get("/api/v1/top?measure=packets");
    assert_eq!(series["total"], all["total"]["packets"]);
    assert_eq!(series["complete_until_nanoseconds"], serde_json::Value::Null);
    let (_, ledger) = site.get("/api/v1/ledger?check=true");
    assert_eq!(
        (&ledger["verdict"], &ledger["residual"]["packets"]),
        (&"balanced".into(), &0.into()),
        "{ledger}"
    );
    let (_, probes) = site.get("/api/v1/probes");
    assert_eq!(
        (&probes["probes"][0]["exporter"], &probes["probes"][0]["state"]),
        (&"test".into(), &"closed".into())
    );
    assert_eq!(probes["probes"][0]["stored"]["records"], 5);
    let (_, health) = site.get("/health");
    assert_eq!((&health["status"], &health["store"]["rows"]), (&"ok".into(), &5.into()));
    let (_, _, metrics) = site.send("GET", "/metrics", "127.0.0.1");
    assert!(
        metrics.contains("collector_ledger_residual_packets 0\n") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );
}

#[test]
fn refusals_name_parameter_value_and_mend() {
    let site = Site::start();
    let refused = |target: &str, parameter: &str| {
        let (status, answer) = site.get(target);
        assert_eq!((status, answer["parameter"].as_str().unwrap()), (400, parameter), "{target}: {answer}");
        assert!(
            !answer["error"].as_str().unwrap().is_empty() && !answer["mend"].as_str().unwrap().is_empty()
        );
    };
    refused("/api/v1/flows?filter=src%3D10.0.0.0%2F33", "filter");
    refused("/api/v1/flows?filter=src%3D1.1.1.1%27%3B%20DROP%20TABLE%20flow%3B--", "filter");
    refused("/api/v1/top?by=octets%29%3B", "by");
    refused("/api/v1/timeseries?step=1s&from=1&to=1700000000", "step");
    refused("/api/v1/now?seconds=0", "seconds");
    refused("/api/v1/probes?x=1", "x");
    refused("/api/v1/ledger?check=maybe", "check");
    assert_eq!(site.get("/nothing").0, 404);
    assert_eq!(site.send("POST", "/api/v1/flows", "127.0.0.1").0, 405);
    assert_eq!(site.get("/api/v1/top?measure=flows").1["total"]["flows"], 5);
}

#[test]
fn the_watchers_are_answered_while_queries_take_all_their_permits() {
    let site = Site::start();
    let slow = site.app.queries.try_acquire_many(QUERIES_MAX as u32).unwrap();
    assert_eq!(site.send("GET", "/health", "localhost").0, 200);
    assert_eq!(site.send("GET", "/metrics", "localhost").0, 200);
    let mut waiting = TcpStream::connect(site.address).unwrap();
    write!(waiting, "GET /api/v1/top HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    assert!(waiting.read(&mut [0]).is_err(), "a query waits for its turn");
    drop(slow);
    waiting.set_read_timeout(None).unwrap();
    assert_eq!(waiting.read(&mut [0]).unwrap(), 1);
}

#[test]
fn another_hosts_name_is_refused_on_loopback() {
    let site = Site::start();
    assert_eq!(site.send("GET", "/api/v1/flows", "attacker.example").0, 403);
    assert_eq!(site.send("GET", "/", "attacker.example:3000").0, 403);
    assert_eq!(site.send("GET", "/health", "[::1]:3000").0, 200);
}

#[test]
fn the_documentation_is_that_of_the_router() {
    let openapi: serde_json::Value = serde_json::from_str(crate::api::OPENAPI).unwrap();
    let paths: BTreeSet<_> = openapi["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(paths, PATHS.into_iter().collect());
    let parameters = |path: &str| -> BTreeSet<String> {
        let list = openapi["paths"][path]["get"]["parameters"].as_array().cloned().unwrap_or_default();
        let resolve = |one: serde_json::Value| match one["$ref"].as_str() {
            Some(reference) => openapi.pointer(reference.strip_prefix('#').unwrap()).unwrap().clone(),
            None => one,
        };
        list.into_iter().map(|one| resolve(one)["name"].as_str().unwrap().to_owned()).collect()
    };
    let known = [
        ("/api/v1/flows", FLOWS),
        ("/api/v1/top", TOP),
        ("/api/v1/timeseries", TIMESERIES),
        ("/api/v1/now", &["seconds"]),
        ("/api/v1/ledger", &["check"]),
        ("/api/v1/probes", &[]),
    ];
    for (path, names) in known {
        assert_eq!(parameters(path), names.iter().map(|name| (*name).to_owned()).collect(), "{path}");
    }
}

#[test]
fn answers_have_the_documented_keys() {
    let site = Site::start();
    let openapi: serde_json::Value = serde_json::from_str(crate::api::OPENAPI).unwrap();
    for path in PATHS.iter().filter(|path| path.starts_with("/api") || **path == "/health") {
        let schema =
            &openapi["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let documented: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let (_, answer) = site.get(path);
        let found: BTreeSet<_> = answer.as_object().unwrap().keys().cloned().collect();
        assert_eq!(found, documented, "{path}");
    }
}
