//! nProbe's and Cento's options, one by one: what they mean there, and what there is here. The one place that says it: refusals, `--cento`
//! and deploy/guide/ntop-options.md come of it. Meanings are those of ntop's manuals ("Command Line Options" of nProbe and of Cento).

/// Whose option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Nprobe,
    /// Only with `--cento`.
    Cento,
}

/// What there is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Here {
    /// The same name and meaning; what differs, if anything.
    Same(&'static str),
    /// Other words of ours with the same meaning; `{}` stands for the value.
    As(&'static [&'static str], &'static str),
    /// Nothing yet, or nothing at all: what to use.
    Instead(&'static str),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) program: Program,
    pub(super) short: Option<char>,
    pub(super) long: Option<&'static str>,
    pub(super) takes_value: bool,
    pub(super) meaning: &'static str,
    pub(super) here: Here,
}

/// `-x`, `--long`, or both: `(letter, "word")`, with ' ' and "" for what there is not.
const fn entry(
    program: Program,
    (short, long): (char, &'static str),
    takes_value: bool,
    meaning: &'static str,
    here: Here,
) -> Entry {
    let short = if short == ' ' { None } else { Some(short) };
    let long = if long.is_empty() { None } else { Some(long) };
    Entry { program, short, long, takes_value, meaning, here }
}

use Here::{As, Instead, Same};
use Program::{Cento, Nprobe};

const FLAG: bool = false;
const VALUE: bool = true;
const LATER_IPFIX: &str =
    "NetFlow and IPFIX are not exported yet: --ntopng kafka://HOST or zmq://HOST:PORT, or --flows FILE";
const LATER_DUMP: &str = "files are written as JSON lines: --flows FILE";
const LATER_COLLECT: &str =
    "the probe meters packets and collects no flows; gannet-collector takes those of gannet-probe";
const LATER_DPI: &str = "there is no application recognition yet; -f selects by address, port and protocol";
const LATER_LOCAL: &str =
    "addresses are exported as they are; -f or --capture-filter 'net PREFIX' meters local networks alone";
const IFINDEX: &str = "records carry the kernel's index of the interface (IPFIX 10)";
const SERVICE: &str = "run it as a service: systemctl start gannet-probe (deploy/systemd)";
const EGRESS: &str =
    "packets are metered and not sent on; in AF_XDP mode what --capture-filter leaves out goes to the host";
const SAMPLE: &str = "every packet is metered; --shunt makes elephants cheap, --capture-filter narrows";

pub(super) const TABLE: &[Entry] = &[
    entry(
        Nprobe,
        ('i', "interface"),
        VALUE,
        "interface, or capture file",
        Same(
            "`zc:`, `xdp:` and `@QUEUE` are not needed: `--capture`, `--queues`; files and interfaces are not mixed",
        ),
    ),
    entry(
        Nprobe,
        ('f', "bpf-filter"),
        VALUE,
        "pcap-filter expression",
        Same("what it leaves out is counted (`not_selected`)"),
    ),
    entry(
        Nprobe,
        ('s', "snaplen"),
        VALUE,
        "octets captured of a packet",
        Same(
            "packet sockets alone: AF_XDP gets whole frames, files have what they have; nothing is cut off unless asked",
        ),
    ),
    entry(Nprobe, ('t', "lifetime-timeout"), VALUE, "longest life of a record, seconds", Same("")),
    entry(Nprobe, ('d', "idle-timeout"), VALUE, "silence that ends a flow, seconds", Same("")),
    entry(
        Nprobe,
        ('w', "hash-size"),
        VALUE,
        "buckets of the flow cache",
        Same("a hint, rounded up and reported"),
    ),
    entry(
        Nprobe,
        ('M', "max-num-flows"),
        VALUE,
        "most flows open at once",
        Same("memory is taken at the start; a full bucket exports its oldest flow early"),
    ),
    entry(
        Nprobe,
        (' ', "cpu-affinity"),
        VALUE,
        "cores of the threads",
        Same("one for each worker; ranges are read, too"),
    ),
    entry(
        Nprobe,
        (' ', "ntopng"),
        VALUE,
        "`zmq://`, `kafka://`, `kafka-ssl://`",
        Same("several get every flow each; nothing is balanced among them"),
    ),
    entry(Nprobe, (' ', "zmq"), VALUE, "old name of `--ntopng zmq://`", Same("warns")),
    entry(
        Nprobe,
        ('T', "template"),
        VALUE,
        "fields of a flow",
        Same(
            "of what ntop's readers get on ZMQ; `gannet-probe fields` lists them; one that is unknown is refused",
        ),
    ),
    entry(
        Nprobe,
        (' ', "zmq-format"),
        VALUE,
        "`t` TLV, `j` JSON, `m` MessagePack",
        Same("also `json-dotted` and `json-names`; no `m`"),
    ),
    entry(Nprobe, (' ', "zmq-disable-compression"), FLAG, "no zlib on ZMQ", Same("")),
    entry(Nprobe, (' ', "zmq-probe-mode"), FLAG, "the probe connects, the collector binds", Same("")),
    entry(
        Nprobe,
        (' ', "zmq-encryption-key"),
        VALUE,
        "ntopng's public key",
        Same(
            "ours is a file with the probe's own secret key: ntopng as the CURVE server is not spoken to yet",
        ),
    ),
    entry(
        Nprobe,
        (' ', "zmq-fanout"),
        FLAG,
        "each flow to every ZMQ endpoint",
        Instead("leave it out: each --ntopng gets every flow"),
    ),
    entry(
        Nprobe,
        (' ', "zmq-publish-events"),
        VALUE,
        "endpoint for events of the probe",
        Instead("events go out on --ntopng zmq://, topic event"),
    ),
    entry(
        Nprobe,
        (' ', "zmq-simulate-exporters"),
        VALUE,
        "made-up exporters, for tests",
        Instead("gannet-replay makes known traffic"),
    ),
    entry(
        Nprobe,
        (' ', "kafka-conf"),
        VALUE,
        "a setting of librdkafka, or `list`",
        Same("also @FILE, where passwords belong; no `list`: librdkafka's CONFIGURATION.md has them"),
    ),
    entry(
        Nprobe,
        (' ', "kafka"),
        VALUE,
        "flows as JSON to a topic",
        Instead("--ntopng kafka://HOST (Arrow, see FORMAT.md), or --flows FILE for lines of JSON"),
    ),
    entry(
        Nprobe,
        (' ', "kafka-add-timestamp"),
        FLAG,
        "a time in each of these",
        Instead("records carry the times of their first and last packet"),
    ),
    entry(
        Nprobe,
        (' ', "elastic"),
        VALUE,
        "flows to Elasticsearch",
        Instead("--flows FILE writes lines of JSON, which its shippers read"),
    ),
    entry(
        Nprobe,
        (' ', "mysql"),
        VALUE,
        "flows to MySQL",
        Instead("gannet-collector has a store of its own: gannet-collector query"),
    ),
    entry(
        Nprobe,
        (' ', "clickhouse"),
        VALUE,
        "flows to ClickHouse",
        Instead("gannet-collector has a store of its own: gannet-collector query"),
    ),
    entry(
        Nprobe,
        (' ', "flow-collection-deduplication"),
        FLAG,
        "flows of two exporters once",
        Instead(LATER_COLLECT),
    ),
    entry(
        Nprobe,
        (' ', "enable-ipv4-deduplication"),
        FLAG,
        "packets that are seen twice once",
        Instead("every packet that is seen is metered: mirror each direction once"),
    ),
    entry(
        Nprobe,
        (' ', "export-thread-affinity"),
        VALUE,
        "cores of the exporting threads",
        Instead("exporters are threads that no worker waits for; systemd's CPUAffinity= holds for all"),
    ),
    entry(
        Nprobe,
        (' ', "influxdb-dump-dir"),
        VALUE,
        "folder for counters",
        Instead("--http PORT serves metrics"),
    ),
    entry(Nprobe, (' ', "no-promisc"), FLAG, "no promiscuous mode", Same("")),
    entry(Nprobe, (' ', "unprivileged-user"), VALUE, "user to become", Same("also `--user`")),
    entry(Nprobe, (' ', "dont-drop-privileges"), FLAG, "stay root", As(&["--user", "root"], "")),
    entry(Nprobe, ('v', "version"), FLAG, "print the version", Same("")),
    entry(Nprobe, ('h', "help"), FLAG, "print help", Same("")),
    entry(Nprobe, ('n', ""), VALUE, "NetFlow and IPFIX collectors", Instead(LATER_IPFIX)),
    entry(
        Nprobe,
        ('a', ""),
        FLAG,
        "each flow to every collector",
        Instead("leave it out: each --ntopng gets every flow"),
    ),
    entry(Nprobe, ('V', ""), VALUE, "version of NetFlow", Instead(LATER_IPFIX)),
    entry(Nprobe, ('U', ""), VALUE, "template id", Instead(LATER_IPFIX)),
    entry(Nprobe, ('o', ""), VALUE, "packets between two templates", Instead(LATER_IPFIX)),
    entry(
        Nprobe,
        ('m', ""),
        VALUE,
        "least flows of a packet",
        Instead("batches are sealed by size and age: leave it out"),
    ),
    entry(
        Nprobe,
        ('q', ""),
        VALUE,
        "address to send from",
        Instead("route by the host's tables: ip route add .. src ADDRESS"),
    ),
    entry(Nprobe, ('E', ""), VALUE, "engine type and id", Instead("--probe-id UUID tells probes apart")),
    entry(
        Nprobe,
        ('l', "queue-timeout"),
        VALUE,
        "longest wait of a flow for its export, seconds",
        Instead("an open batch waits a second at most: leave it out"),
    ),
    entry(
        Nprobe,
        ('p', ""),
        VALUE,
        "aggregate by parts of the key",
        Instead("the key is whole: aggregate in the collector, gannet-collector query --by FIELD"),
    ),
    entry(
        Nprobe,
        ('S', "sample-rate"),
        VALUE,
        "sampling of packets, collected and exported flows",
        Instead(SAMPLE),
    ),
    entry(
        Nprobe,
        ('b', "verbose"),
        VALUE,
        "how much is said: 0, 1, 2",
        Instead(
            "a terminal gets a line of statistics a second, --http serves metrics; GANNET_LOG=warn (0) or debug (2) in the environment",
        ),
    ),
    entry(Nprobe, ('G', ""), FLAG, "run as a daemon", Instead(SERVICE)),
    entry(Nprobe, ('g', ""), VALUE, "file for the process id", Instead(SERVICE)),
    entry(
        Nprobe,
        ('I', ""),
        VALUE,
        "log to syslog",
        Instead("standard error goes to the journal of the service, and from there to syslog"),
    ),
    entry(Nprobe, ('O', "ndpi-protocols"), VALUE, "flows of these applications alone", Instead(LATER_DPI)),
    entry(Nprobe, (' ', "ndpi-custom-protos"), VALUE, "further applications", Instead(LATER_DPI)),
    entry(Nprobe, (' ', "ndpi-proto-ports"), VALUE, "ports of applications", Instead(LATER_DPI)),
    entry(Nprobe, (' ', "disable-l7-protocol-guess"), FLAG, "no application by port", Instead(LATER_DPI)),
    entry(
        Nprobe,
        (' ', "discard-unknown-flows"),
        VALUE,
        "by whether the application is known",
        Instead(LATER_DPI),
    ),
    entry(Nprobe, ('P', "dump-path"), VALUE, "folder that flows are written to", Instead(LATER_DUMP)),
    entry(Nprobe, ('F', "dump-frequency"), VALUE, "seconds of a file", Instead(LATER_DUMP)),
    entry(Nprobe, ('D', "dump-format"), VALUE, "format of the files", Instead(LATER_DUMP)),
    entry(Nprobe, (' ', "csv-separator"), VALUE, "separator in them", Instead(LATER_DUMP)),
    entry(Nprobe, (' ', "dont-nest-dump-dirs"), FLAG, "one folder for them", Instead(LATER_DUMP)),
    entry(Nprobe, ('u', "in-iface-idx"), VALUE, "index of the input interface", Instead(IFINDEX)),
    entry(Nprobe, ('Q', "out-iface-idx"), VALUE, "index of the output interface", Instead(IFINDEX)),
    entry(Nprobe, (' ', "if-networks"), VALUE, "index by MAC address or network", Instead(IFINDEX)),
    entry(
        Nprobe,
        (' ', "vlanid-as-iface-idx"),
        VALUE,
        "VLAN id as the index",
        Instead("records carry the VLAN id itself (vlan_id)"),
    ),
    entry(
        Nprobe,
        ('C', "flow-lock"),
        VALUE,
        "no flow is exported while the file exists",
        Instead(
            "two probes of one link are two probes in the books; stop and start one by systemctl, what it had metered is kept",
        ),
    ),
    entry(Nprobe, ('W', ""), FLAG, "no IPv6", Instead("--capture-filter 'not net ::/0'")),
    entry(
        Nprobe,
        ('e', "flow-delay"),
        VALUE,
        "milliseconds between two exports",
        Instead("the bus takes what it can, the spool holds the rest: leave it out"),
    ),
    entry(
        Nprobe,
        ('B', "count-delay"),
        VALUE,
        "packets between two such delays",
        Instead("the bus takes what it can, the spool holds the rest: leave it out"),
    ),
    entry(
        Nprobe,
        ('z', "min-flow-size"),
        VALUE,
        "no flow smaller than this",
        Instead("every flow is stored: leave small ones out in the query"),
    ),
    entry(Nprobe, ('L', "local-networks"), VALUE, "networks that are local", Instead(LATER_LOCAL)),
    entry(
        Nprobe,
        ('c', "local-hosts-only"),
        FLAG,
        "0.0.0.0 for every host that is not local",
        Instead(LATER_LOCAL),
    ),
    entry(
        Nprobe,
        ('r', "local-traffic-direction"),
        FLAG,
        "direction by local networks",
        Instead("source is who sent the SYN, else the first packet; ask the collector by network"),
    ),
    entry(
        Nprobe,
        ('A', "as-list"),
        VALUE,
        "file of autonomous systems",
        Instead("addresses are exported without them"),
    ),
    entry(
        Nprobe,
        (' ', "city-list"),
        VALUE,
        "file of places",
        Instead("addresses are exported without them"),
    ),
    entry(
        Nprobe,
        (' ', "biflows-export-policy"),
        VALUE,
        "0 all, 1 flows of both directions, 2 flows of one",
        Instead("every flow is stored: ask for those with or without reverse packets"),
    ),
    entry(
        Nprobe,
        (' ', "black-list"),
        VALUE,
        "sources that are not metered",
        Instead("-f 'not src net PREFIX', or --capture-filter 'not net PREFIX,PREFIX' for both directions"),
    ),
    entry(
        Nprobe,
        (' ', "pcap-file-list"),
        VALUE,
        "file of capture files",
        Instead("-i FILE,FILE, or -i once for each"),
    ),
    entry(
        Nprobe,
        (' ', "count"),
        VALUE,
        "so many packets, then end",
        Instead("Ctrl-C; of a file: tcpdump -r FILE -c N -w - | gannet-probe -i -"),
    ),
    entry(
        Nprobe,
        (' ', "minute-expire"),
        FLAG,
        "records end with the minute",
        Instead("-t 60 ends them after a minute each"),
    ),
    entry(Nprobe, (' ', "tunnel"), FLAG, "look into GTP and GRE", Instead("the outer packet is metered")),
    entry(
        Nprobe,
        (' ', "aggregate-gtp-tunnels"),
        FLAG,
        "one flow a tunnel",
        Instead("the outer packet is metered"),
    ),
    entry(
        Nprobe,
        (' ', "smart-udp-frags"),
        FLAG,
        "later fragments of UDP are not counted",
        Instead("fragments are put into the flow of their first: leave it out"),
    ),
    entry(
        Nprobe,
        (' ', "ipsec-auth-data-len"),
        VALUE,
        "look into IPsec",
        Instead("the outer packet is metered"),
    ),
    entry(
        Nprobe,
        (' ', "account-l2"),
        FLAG,
        "octets with layer 2",
        Instead("records carry both: octet_delta_count and layer2_octet_delta_count"),
    ),
    entry(
        Nprobe,
        (' ', "dump-stats"),
        VALUE,
        "file of statistics",
        Instead("--http PORT serves metrics, --ledger FILE writes the books at the end"),
    ),
    entry(
        Nprobe,
        (' ', "event-log"),
        VALUE,
        "file of events",
        Instead("standard error has them: 2> FILE, or the journal"),
    ),
    entry(
        Nprobe,
        (' ', "enable-throughput-stats"),
        FLAG,
        "file of rates",
        Instead("--http PORT serves metrics"),
    ),
    entry(Nprobe, ('3', "collector-port"), VALUE, "collect NetFlow, IPFIX, sFlow", Instead(LATER_COLLECT)),
    entry(Nprobe, (' ', "collector-passthrough"), FLAG, "hand on what was collected", Instead(LATER_COLLECT)),
    entry(Nprobe, (' ', "collector-nf-reforge"), VALUE, "rename exporters", Instead(LATER_COLLECT)),
    entry(Nprobe, (' ', "enable-collection-cache"), FLAG, "merge what was collected", Instead(LATER_COLLECT)),
    entry(
        Nprobe,
        (' ', "disable-upscale"),
        FLAG,
        "without the exporter's sampling rate",
        Instead(LATER_COLLECT),
    ),
    entry(Nprobe, (' ', "tcp"), VALUE, "JSON over TCP", Instead("--flows - | nc HOST PORT, or --ntopng")),
    entry(Nprobe, (' ', "redis"), VALUE, "Redis server", Instead("nothing here needs one: leave it out")),
    entry(
        Nprobe,
        (' ', "check-license"),
        FLAG,
        "is the licence valid",
        Instead("there is none to check: leave it out"),
    ),
    entry(
        Nprobe,
        (' ', "disable-startup-checks"),
        FLAG,
        "do not ask for the public address",
        Instead("nothing is asked of the internet: leave it out"),
    ),
    entry(
        Cento,
        ('g', "processing-cores"),
        VALUE,
        "cores of the packet threads",
        As(&["--cpu-affinity", "{}"], "one for each worker"),
    ),
    entry(Cento, ('W', "max-hash-size"), VALUE, "most flows open at once", As(&["-M", "{}"], "")),
    entry(Cento, ('a', "active-poll"), FLAG, "never sleep", As(&["--wait", "spin"], "")),
    entry(Cento, ('z', "dont-drop-privileges"), FLAG, "stay root", As(&["--user", "root"], "")),
    entry(
        Cento,
        ('G', "exporting-cores"),
        VALUE,
        "cores of the exporters",
        Instead("the exporter is one thread, wherever there is room"),
    ),
    entry(
        Cento,
        ('M', "monitor-aggregator-core"),
        VALUE,
        "core of the monitor",
        Instead("there is no such thread; most flows open at once is -W, as Cento has it"),
    ),
    entry(
        Cento,
        ('N', "timer-core"),
        VALUE,
        "core of the clock",
        Instead("there is no such thread: leave it out"),
    ),
    entry(
        Cento,
        ('o', "balanced-egress-queues"),
        VALUE,
        "queues to send packets to, by flow",
        Instead(EGRESS),
    ),
    entry(Cento, ('F', "aggregated-egress-queue"), VALUE, "one queue to send packets to", Instead(EGRESS)),
    entry(Cento, ('e', "egress-conf"), VALUE, "rules of what is sent on", Instead(EGRESS)),
    entry(
        Cento,
        (' ', "balanced-egress-buffer"),
        VALUE,
        "packets kept until the application is known",
        Instead(EGRESS),
    ),
    entry(Cento, ('A', "monitor"), FLAG, "packets to a local ntopng", Instead(EGRESS)),
    entry(
        Cento,
        (' ', "skip-fragments"),
        FLAG,
        "no fragments",
        Instead("-f 'not ip or ip[6:2] & 0x3fff = 0' (of untagged packets)"),
    ),
    entry(
        Cento,
        ('U', "cache-flow-direction"),
        FLAG,
        "directions of long flows are kept",
        Instead("they are, of a flow that goes on in a next record: leave it out"),
    ),
    entry(Cento, ('D', "dpi-level"), VALUE, "how much of applications", Instead(LATER_DPI)),
    entry(Cento, ('5', "v5"), VALUE, "NetFlow 5", Instead(LATER_IPFIX)),
    entry(Cento, ('9', "v9"), VALUE, "NetFlow 9", Instead(LATER_IPFIX)),
    entry(Cento, ('I', "ipfix"), VALUE, "IPFIX", Instead(LATER_IPFIX)),
    entry(Cento, ('p', "pid-file"), VALUE, "file for the process id", Instead(SERVICE)),
    entry(Cento, ('b', "daemon"), FLAG, "run as a daemon", Instead(SERVICE)),
    entry(Cento, ('B', "banned-hosts"), VALUE, "file of hosts that are not served", Instead(EGRESS)),
    entry(Cento, (' ', "blacklists"), VALUE, "lists of hosts that are not forwarded", Instead(EGRESS)),
    entry(Cento, ('R', "redis"), VALUE, "Redis server", Instead("nothing here needs one: leave it out")),
    entry(
        Cento,
        (' ', "flow-offload"),
        FLAG,
        "the NIC counts flows",
        Instead("--shunt PACKETS: the XDP program counts them"),
    ),
    entry(Cento, (' ', "clickhouse"), VALUE, "store of ntopng's tables", Instead("gannet-collector stores")),
    entry(Cento, ('Z', "zc"), FLAG, "zero copy only", Instead("--xdp-mode zero-copy")),
];
