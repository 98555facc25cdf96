//! The collector's page, read in headless Chromium: known packets go through the real probe (AF_XDP on a veth), ZMQ and the
//! real collector, and must stand on the page to the octet, with balanced books.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use perf::browser::Browser;
use perf::craft::{Ethernet, Segment, flag, packet, tcp, udp};
use perf::http::request;
use perf::kernel::device::Device;
use perf::kernel::packet_socket::PacketSocket;
use perf::kernel::signal::Signal;
use perf::kernel::thread::in_network;
use perf::netns::{End, Netns, Wire};
use perf::process::{Program, Running};
use perf::wait::{wait_for, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Programs start within seconds; the rest is room for a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);
/// On the loopback of a namespace of our own: nobody else is there.
const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);
const BUS: &str = "zmq://127.0.0.1:1234";

/// A running collector with an empty store, and a browser that has its page open.
struct Site<'a> {
    browser: Browser,
    collector: Running,
    folder: TempDir,
    namespace: &'a Netns,
}

/// Runs a test on a thread in a namespace of its own, with all the programs that it starts.
fn on_the_page(test: impl FnOnce(&Site<'_>) + Send) {
    let namespace = Netns::new("page").unwrap();
    in_network(namespace.name(), || test(&Site::start(&namespace))).unwrap();
}

impl<'a> Site<'a> {
    fn start(namespace: &'a Netns) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let words = ["-i", BUS, "--http", "127.0.0.1:3000", "--store", store.to_str().unwrap()];
        let collector = Program::ours("gannet-collector").unwrap().args(words).start().unwrap();
        wait_until("the collector serves", PATIENCE, || request(HTTP, "GET", "/health", "").is_ok())
            .unwrap_or_else(|error| panic!("{error}\n{}", collector.stderr()));
        let browser =
            Browser::start(&folder.path().join("profile")).unwrap_or_else(|error| panic!("{error}"));
        browser.open(&format!("http://{HTTP}/")).unwrap();
        Self { browser, collector, folder, namespace }
    }

    fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector('{selector}')?.textContent ?? ''");
        self.browser.run(&script).unwrap().as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page's own refreshing brought a text that fits.
    fn wait_for_text(&self, selector: &str, wanted: &str) {
        let evidence = || format!("it says {:?}\n{}", self.text(selector), self.evidence());
        wait_until(&format!("{selector} says {wanted:?}"), PATIENCE, || self.text(selector).contains(wanted))
            .unwrap_or_else(|error| panic!("{error}; {}", evidence()));
    }

    /// What the server says, for a failure's message.
    fn evidence(&self) -> String {
        let ask = |path: &str| request(HTTP, "GET", path, "").map(|answer| answer.body).unwrap_or_default();
        let answers = ["/health", "/api/v1/probes", "/api/v1/ledger"].map(ask).join("\n");
        format!("{answers}\n{}", self.collector.stderr())
    }

    /// The row of the last flows that begins at this port: each cell's class and text.
    fn flow_row(&self, source_port: u16) -> Option<Value> {
        let script = format!(
            "const row = [...document.querySelectorAll('#flows-rows tr')].find((row) => \
               row.querySelector('.sport').textContent === '{source_port}');
             return row && Object.fromEntries([...row.cells].map((cell) => \
               [cell.className.split(' ')[0], cell.textContent]))"
        );
        Some(self.browser.run(&script).unwrap()).filter(|row| !row.is_null())
    }
}

/// A wire with a probe at its end.
struct Tap {
    socket: PacketSocket,
    probe: Running,
    last: Instant,
}

impl Tap {
    /// Comes back once the page shows the probe's traffic: from then on no batch can miss its subscriber.
    fn start(site: &Site<'_>) -> Self {
        let end = |name| End::new(site.namespace, name);
        Wire::default().lay(end("sender"), end("tap")).unwrap();
        let state = site.folder.path().join("probe");
        let words = ["-i", "tap", "--ntopng", BUS, "--state-dir", state.to_str().unwrap()];
        // Through `ip netns exec`, which shows the namespace's own devices in /sys.
        let mut probe =
            Program::ours_in(site.namespace, "gannet-probe").unwrap().args(words).start().unwrap();
        probe.wait_for_line("ready", PATIENCE).unwrap();
        let socket = PacketSocket::open(&Device::open("sender").unwrap()).unwrap();
        let mut tap = Self { socket, probe, last: Instant::now() };
        tap.until("the page shows traffic now", site, || {
            digits(&site.text("#now-packets")).parse::<u64>().ok().filter(|rate| *rate > 0)
        });
        tap
    }

    fn send(&self, segment: &Segment) {
        let frame = Ethernet::default().frame(&packet(segment));
        assert_eq!(self.socket.send(&[&frame]).unwrap(), 1);
    }

    /// Keeps a flow open with ten packets a second until the page shows what is waited for.
    fn until<T>(&mut self, description: &str, site: &Site<'_>, mut shown: impl FnMut() -> Option<T>) -> T {
        let found = wait_for(description, PATIENCE, || {
            if self.last.elapsed() >= Duration::from_millis(100) {
                self.send(&udp(address("192.0.2.99:4000"), address("192.0.2.98:4000"), b"still here"));
                self.last = Instant::now();
            }
            shown()
        });
        found.unwrap_or_else(|error| panic!("{error}\n{}\n{}", site.evidence(), self.probe.stderr()))
    }

    /// The probe drains and closes its books.
    fn end(self) {
        let finished = self.probe.stop(Signal::Terminate, PATIENCE).unwrap();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
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

/// Keys as WebDriver writes them.
const ENTER: &str = "\u{e007}";
const BACKSPACE: &str = "\u{e003}";

#[test]
fn a_real_flow_stands_on_the_page_to_the_octet_and_the_books_balance() {
    on_the_page(|site| {
        let mut tap = Tap::start(site);
        connection().iter().for_each(|segment| tap.send(segment));
        let row = tap.until("the flow is on the page", site, || site.flow_row(address(CLIENT).port()));

        let text = |cell: &str| row[cell].as_str().unwrap().to_owned();
        let ends = ["source", "sport", "destination", "dport", "proto"].map(text);
        assert_eq!(ends, ["192.0.2.17", "51713", "198.51.100.23", "8443", "TCP"]);
        let ((packets, octets), (back, octets_back)) = (sent_by(CLIENT), sent_by(SERVER));
        let counts = ["packets", "rpackets", "octets", "roctets"].map(|cell| digits(&text(cell)));
        assert_eq!(counts, [packets, back, octets, octets_back].map(|count| count.to_string()));
        assert_eq!(["flags", "rflags", "reason"].map(text), ["SAPF", "SAPF", "end of flow"]);

        tap.end();
        site.wait_for_text("#residual-note", "all books closed");
        assert_eq!(site.text("#residual .residual-number"), "0");
        assert_eq!(site.text("#verdict .verdict-number"), "0");
        let identities =
            "return [...document.querySelectorAll('#identities tr')].map((row) => row.cells[5].textContent)";
        let holds = site.browser.run(identities).unwrap();
        let holds = holds.as_array().unwrap();
        assert!(!holds.is_empty() && holds.iter().all(|word| word == "yes"), "{holds:?}");
    });
}

#[test]
fn a_filter_that_the_api_refuses_shows_its_mend_beside_the_words() {
    on_the_page(|site| {
        // With a probe that has spoken: before, there is nothing to filter, and the page says so instead.
        let _tap = Tap::start(site);
        site.browser.type_into("#filter-words", &format!("src=10.0.0.0/33{ENTER}")).unwrap();
        let answer = request(HTTP, "GET", "/api/v1/flows?filter=src%3D10.0.0.0%2F33", "").unwrap();
        let refusal: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer.status, 400);
        for part in ["value", "error", "mend"] {
            site.wait_for_text("#filter-error", refusal[part].as_str().unwrap());
        }
        site.browser
            .type_into("#filter-words", &format!("{}/8{ENTER}", BACKSPACE.repeat("/33".len())))
            .unwrap();
        wait_until("the error is gone", PATIENCE, || site.text("#filter-error").is_empty()).unwrap();
    });
}

#[test]
fn a_page_that_nobody_has_spoken_to_names_the_command_to_start() {
    on_the_page(|site| site.wait_for_text("#commands", &format!("gannet-probe -i eno1 --ntopng {BUS}")));
}

#[test]
fn a_collector_that_is_gone_is_said_to_be_unreachable() {
    on_the_page(|site| {
        site.wait_for_text("#version", "Gannet collector");
        site.collector.signal(Signal::Kill);
        site.wait_for_text("#notice", "Collector unreachable");
    });
}

#[test]
fn integers_beyond_a_double_keep_their_digits() {
    on_the_page(|site| {
        let script = "return import('/exact.js').then(({ parse, sum }) => {
            const { a, b } = parse('{\"a\":18446744073709551615,\"b\":[9007199254740993,1]}');
            return [String(a), String(sum(b)), typeof b[1]];
        })";
        let read = site.browser.run(script).unwrap();
        assert_eq!(read, json!(["18446744073709551615", "9007199254740994", "number"]));
    });
}

#[test]
fn a_probes_name_is_text_and_never_markup() {
    on_the_page(|site| {
        let script = "return import('/view/status.js').then((status) => {
            status.drawProbes({ probes: [{ probe_id: 'p', epoch: 'e', exporter: '<img src=x>', state: 'open',
              interfaces: ['<b>i</b>'], epoch_start_nanoseconds: 1, last_heard_nanoseconds: 1, active_timeout_seconds: 1,
              stored: { batches: 0, records: 0, packets: 0, octets: 0 } }] });
            const row = document.querySelector('#probes tr');
            return [row.cells[0].textContent, row.querySelectorAll('img, b').length];
        })";
        assert_eq!(site.browser.run(script).unwrap(), json!(["<img src=x>", 0]));
    });
}
