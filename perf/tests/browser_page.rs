//! The collector's page, read in headless Chromium: a flow of known packets goes through the real probe, ZMQ and the real
//! collector, and must stand on the page to the octet, with balanced books.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use perf::browser::{Browser, request};
use perf::craft::{Ethernet, LinkType, Pcap, Record, Segment, flag, packet, tcp, udp};
use perf::process::{Program, Running};
use perf::wait::{wait_for, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// Programs start within seconds; the rest is room for a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two ports that are free now. Nobody else takes them: the kernel hands out others first.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A running collector with an empty store, and a browser that has its page open.
struct Site {
    browser: Browser,
    http: SocketAddr,
    bus: String,
    folder: TempDir,
    _collector: Running,
}

impl Site {
    fn start(path: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [http, bus] = free_ports();
        let (http, bus) = (SocketAddr::from((Ipv4Addr::LOCALHOST, http)), format!("zmq://127.0.0.1:{bus}"));
        let store = folder.path().join("store");
        let collector = Program::ours("gannet-collector").unwrap();
        let words = ["-i", &bus, "--http", &http.to_string(), "--store", store.to_str().unwrap()];
        let collector = collector.args(words).start().unwrap();
        wait_until("the collector serves", PATIENCE, || request(http, "GET", "/health", "").is_ok())
            .unwrap_or_else(|error| panic!("{error}\n{}", collector.stderr()));
        let browser = Browser::start(&folder.path().join("profile")).unwrap();
        browser.open(&format!("http://{http}/{path}")).unwrap();
        Self { browser, http, bus, folder, _collector: collector }
    }

    fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector('{selector}')?.textContent ?? ''");
        self.browser.run(&script).unwrap().as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page's own refreshing brought a text that fits.
    fn wait_for_text(&self, selector: &str, wanted: &str) {
        wait_until(&format!("{selector} says {wanted:?}"), PATIENCE, || self.text(selector).contains(wanted))
            .unwrap_or_else(|error| {
                panic!("{error}; it says {:?}\n{}", self.text(selector), self.evidence())
            });
    }

    /// What the server says, for a failure's message.
    fn evidence(&self) -> String {
        let ask =
            |path: &str| request(self.http, "GET", path, "").map(|answer| answer.body).unwrap_or_default();
        ["/health", "/api/v1/probes", "/api/v1/ledger"].map(ask).join("\n")
    }

    /// The row of the last flows that begins at this port: each cell's class, text and title.
    fn flow_row(&self, source_port: u16) -> Option<Value> {
        let script = format!(
            "const row = [...document.querySelectorAll('#flows-rows tr')].find((row) => \
               row.querySelector('.sport').textContent === '{source_port}');
             return row && Object.fromEntries([...row.cells].map((cell) => \
               [cell.className.split(' ')[0], {{ text: cell.textContent, title: cell.title }}]))"
        );
        Some(self.browser.run(&script).unwrap()).filter(|row| !row.is_null())
    }
}

/// A probe that reads a capture as it is written: a pipe is as good as a file, and the test decides when it ends.
struct Feed {
    pipe: File,
    probe: Running,
    last: Instant,
}

impl Feed {
    fn start(site: &Site) -> Self {
        let path = fifo(site.folder.path());
        // For reading as well, so that opening does not wait for a probe that may never come.
        let mut pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        pipe.write_all(&Pcap::new(LinkType::Ethernet).header()).unwrap();
        let state = site.folder.path().join("probe");
        let words =
            ["-i", path.to_str().unwrap(), "--ntopng", &site.bus, "--state-dir", state.to_str().unwrap()];
        let probe = Program::ours("gannet-probe").unwrap().args(words).start().unwrap();
        Self { pipe, probe, last: Instant::now() }
    }

    fn send(&mut self, segment: &Segment) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let frame = Ethernet::default().frame(&packet(segment));
        let record = Record::whole(u64::try_from(now.as_nanos()).unwrap(), frame);
        self.pipe.write_all(&Pcap::new(LinkType::Ethernet).record(&record)).unwrap();
    }

    /// A packet of a flow that stays open, ten times a second: the probe reads, and so speaks.
    fn keep_talking(&mut self) {
        if self.last.elapsed() >= Duration::from_millis(100) {
            self.send(&udp(address("192.0.2.99:4000"), address("192.0.2.98:4000"), b"still here"));
            self.last = Instant::now();
        }
    }

    /// Goes on until the page shows what is waited for.
    fn until<T>(&mut self, description: &str, site: &Site, mut shown: impl FnMut() -> Option<T>) -> T {
        let found = wait_for(description, PATIENCE, || {
            self.keep_talking();
            shown()
        });
        found.unwrap_or_else(|error| panic!("{error}\n{}\n{}", site.evidence(), self.probe.stderr()))
    }

    /// The end of the file: the probe drains and closes its books.
    fn end(self) {
        drop(self.pipe);
        let finished = self.probe.wait(PATIENCE).unwrap();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
    }
}

fn fifo(folder: &Path) -> PathBuf {
    let path = folder.join("live.pcap");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const CLIENT: &str = "192.0.2.17:51713";
const SERVER: &str = "198.51.100.23:8443";

/// A TCP connection from SYN to the last FIN: what each side sends.
fn connection() -> Vec<Segment> {
    let (client, server) = (address(CLIENT), address(SERVER));
    let ask = |flags, payload: &[u8]| tcp(client, server, flags, 1, payload);
    let answer = |flags, payload: &[u8]| tcp(server, client, flags, 1, payload);
    vec![
        ask(flag::SYN, b""),
        answer(flag::SYN | flag::ACK, b""),
        ask(flag::ACK, b""),
        ask(flag::ACK | flag::PSH, &[b'q'; 317]),
        answer(flag::ACK, &[b'a'; 1400]),
        answer(flag::ACK | flag::PSH, &[b'a'; 733]),
        ask(flag::ACK | flag::FIN, b""),
        answer(flag::ACK | flag::FIN, b""),
    ]
}

/// Packets and IP octets that one side sent.
fn sent_by(side: &str) -> (usize, usize) {
    let sizes: Vec<_> = connection()
        .iter()
        .filter(|one| one.source == address(side).ip())
        .map(|one| packet(one).len())
        .collect();
    (sizes.len(), sizes.iter().sum())
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[test]
fn a_real_flow_stands_on_the_page_to_the_octet_and_the_books_balance() {
    let site = Site::start("");
    let mut feed = Feed::start(&site);
    feed.until("the page shows traffic now", &site, || {
        digits(&site.text("#now-packets")).parse::<u64>().ok()
    });
    connection().iter().for_each(|segment| feed.send(segment));
    let row = feed.until("the flow is on the page", &site, || site.flow_row(address(CLIENT).port()));

    let text = |cell: &str| row[cell]["text"].as_str().unwrap().to_owned();
    let ends = [text("source"), text("sport"), text("destination"), text("dport"), text("proto")];
    assert_eq!(ends, ["192.0.2.17", "51713", "198.51.100.23", "8443", "TCP"]);
    let ((packets, octets), (back, octets_back)) = (sent_by(CLIENT), sent_by(SERVER));
    let counts = ["packets", "rpackets", "octets", "roctets"].map(|cell| digits(&text(cell)));
    assert_eq!(counts, [packets, back, octets, octets_back].map(|count| count.to_string()));
    assert_eq!([text("flags"), text("rflags"), text("reason")], ["SAPF", "SAPF", "end of flow"]);

    feed.end();
    site.wait_for_text("#residual-note", "all books closed");
    assert_eq!(site.text("#residual .residual-number"), "0");
    assert_eq!(site.text("#verdict .verdict-number"), "0");
    let identities =
        "return [...document.querySelectorAll('#identities tr')].map((row) => row.cells[6].textContent)";
    let holds = site.browser.run(identities).unwrap();
    let holds = holds.as_array().unwrap();
    assert!(!holds.is_empty() && holds.iter().all(|word| word == "yes"), "{holds:?}");
}

#[test]
fn a_filter_that_the_api_refuses_shows_its_mend_beside_the_words() {
    let site = Site::start("");
    // With a probe that has spoken: before, there is nothing to filter, and the page says so instead.
    let mut feed = Feed::start(&site);
    feed.until("the page shows traffic now", &site, || {
        digits(&site.text("#now-packets")).parse::<u64>().ok()
    });
    site.browser.type_into("#filter-words", "src=10.0.0.0/33\u{e007}").unwrap();
    site.wait_for_text("#filter-error", "10.0.0.0/33");
    let answer = request(site.http, "GET", "/api/v1/flows?filter=src%3D10.0.0.0%2F33", "").unwrap();
    let refusal: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer.status, 400);
    for part in ["error", "mend"] {
        site.wait_for_text("#filter-error", refusal[part].as_str().unwrap());
    }
    site.browser
        .type_into("#filter-words", &format!("{}src=10.0.0.0/8\u{e007}", "\u{e003}".repeat(20)))
        .unwrap();
    wait_until("the error is gone", PATIENCE, || site.text("#filter-error").is_empty()).unwrap();
}

#[test]
fn a_page_that_nobody_has_spoken_to_names_the_command_to_start() {
    let site = Site::start("");
    site.wait_for_text("#commands", &format!("gannet-probe -i eno1 --ntopng {}", site.bus));
}

#[test]
fn integers_beyond_a_double_keep_their_digits() {
    let site = Site::start("");
    let script = "return import('/exact.js').then(({ parse, sum }) => {
        const { a, b } = parse('{\"a\":18446744073709551615,\"b\":[9007199254740993,1]}');
        return [String(a), String(sum(b)), typeof b[1]];
    })";
    let read = site.browser.run(script).unwrap();
    assert_eq!(read, serde_json::json!(["18446744073709551615", "9007199254740994", "number"]));
}

#[test]
fn a_probes_name_is_text_and_never_markup() {
    let site = Site::start("");
    let script = "return import('/view/status.js').then((status) => {
        status.drawProbes({ probes: [{ probe_id: 'p', epoch: 'e', exporter: '<img src=x>', state: 'open', interfaces: ['<b>i</b>'],
          epoch_start_nanoseconds: 1, last_heard_nanoseconds: 1, active_timeout_seconds: 1,
          stored: { batches: 0, records: 0, packets: 0, octets: 0 } }] });
        const row = document.querySelector('#probes tr');
        return [row.cells[0].textContent, row.querySelectorAll('img, b').length];
    })";
    assert_eq!(site.browser.run(script).unwrap(), serde_json::json!(["<img src=x>", 0]));
}
