//! Cento's options: those whose names clash with nProbe's mean this with `--cento` alone.

use super::Here::{As, Instead};
use super::{EGRESS, Entry, FLAG, LATER_DPI, LATER_IPFIX, SERVICE, VALUE, entry};

pub(super) const TABLE: &[Entry] = &[
    entry(
        ('g', "processing-cores"),
        VALUE,
        "cores of the packet threads",
        As(&["--cpu-affinity", "{}"], "one for each worker"),
    ),
    entry(('W', "max-hash-size"), VALUE, "most flows open at once", As(&["-M", "{}"], "")),
    entry(('a', "active-poll"), FLAG, "never sleep", As(&["--wait", "spin"], "")),
    entry(('z', "dont-drop-privileges"), FLAG, "stay root", As(&["--user", "root"], "")),
    entry(
        ('G', "exporting-cores"),
        VALUE,
        "cores of the exporters",
        Instead("the exporter is one thread, wherever there is room"),
    ),
    entry(
        ('M', "monitor-aggregator-core"),
        VALUE,
        "core of the monitor",
        Instead("there is no such thread; most flows open at once is -W, as Cento has it"),
    ),
    entry(('N', "timer-core"), VALUE, "core of the clock", Instead("there is no such thread: leave it out")),
    entry(('o', "balanced-egress-queues"), VALUE, "queues to send packets to, by flow", Instead(EGRESS)),
    entry(('F', "aggregated-egress-queue"), VALUE, "one queue to send packets to", Instead(EGRESS)),
    entry(('e', "egress-conf"), VALUE, "rules of what is sent on", Instead(EGRESS)),
    entry(
        (' ', "balanced-egress-buffer"),
        VALUE,
        "packets kept until the application is known",
        Instead(EGRESS),
    ),
    entry(('A', "monitor"), FLAG, "packets to a local ntopng", Instead(EGRESS)),
    entry(
        (' ', "skip-fragments"),
        FLAG,
        "no fragments",
        Instead("-f 'not ip or ip[6:2] & 0x3fff = 0' (of untagged packets)"),
    ),
    entry(
        ('U', "cache-flow-direction"),
        FLAG,
        "directions of long flows are kept",
        Instead("they are, of a flow that goes on in a next record: leave it out"),
    ),
    entry(('D', "dpi-level"), VALUE, "how much of applications", Instead(LATER_DPI)),
    entry(('5', "v5"), VALUE, "NetFlow 5", Instead(LATER_IPFIX)),
    entry(('9', "v9"), VALUE, "NetFlow 9", Instead(LATER_IPFIX)),
    entry(('I', "ipfix"), VALUE, "IPFIX", Instead(LATER_IPFIX)),
    entry(('p', "pid-file"), VALUE, "file for the process id", Instead(SERVICE)),
    entry(('b', "daemon"), FLAG, "run as a daemon", Instead(SERVICE)),
    entry(('B', "banned-hosts"), VALUE, "file of hosts that are not served", Instead(EGRESS)),
    entry((' ', "blacklists"), VALUE, "lists of hosts that are not forwarded", Instead(EGRESS)),
    entry(('R', "redis"), VALUE, "Redis server", Instead("nothing here needs one: leave it out")),
    entry(
        (' ', "flow-offload"),
        FLAG,
        "the NIC counts flows",
        Instead("--shunt PACKETS: the XDP program counts them"),
    ),
    entry(
        (' ', "avro"),
        FLAG,
        "flows of `--kafka` in Avro",
        As(
            &["--kafka-format", "avro"],
            "bare, or with the id of a schema: `--schema-registry`, `--schema-id`",
        ),
    ),
    entry((' ', "clickhouse"), VALUE, "store of ntopng's tables", Instead("gannet-collector stores")),
    entry(('Z', "zc"), FLAG, "zero copy only", Instead("--xdp-mode zero-copy")),
];
