#!/usr/bin/env python3
"""A foreign consumer: reads flows off Kafka by the documented format alone (probe-userspace/wire/FORMAT.md).

    deploy/kafka/pyarrow deploy/kafka/read_flows.py BOOTSTRAP [TOPIC_PREFIX]

kcat fetches the messages, pyarrow decodes the batches. Each flow is printed as one line of JSON, each ledger message too;
whatever does not agree with the documentation ends the program with a message and exit code 1.
"""
import ipaddress
import json
import struct
import subprocess
import sys

import pyarrow as pa

VERSION = "1"
REASONS = {1: "idle_timeout", 2: "active_timeout", 3: "end_of_flow", 4: "forced_end", 5: "lack_of_resources"}


def crc32c_table():
    """Castagnoli, reflected polynomial 0x82f63b78."""
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


CRC = list(crc32c_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def check(condition, what):
    if not condition:
        sys.exit(f"read_flows: {what}")


def messages(bootstrap, topic):
    """(partition, headers, body) of every committed message, oldest first."""
    command = ["kcat", "-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q"]
    command += ["-X", "isolation.level=read_committed", "-f", "%p\\n%h\\n%R%s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as kcat:
        while partition := kcat.stdout.readline():
            headers = dict(pair.split("=", 1) for pair in kcat.stdout.readline().decode().strip().split(","))
            (length,) = struct.unpack(">i", kcat.stdout.read(4))
            yield int(partition), headers, kcat.stdout.read(length)
    check(kcat.returncode == 0, f"kcat could not read {topic} from {bootstrap}")


def stamp(headers):
    return [headers[f"gannet-{key}"] for key in ("probe", "epoch", "stream", "sequence")]


def flows(headers, body):
    """The rows of a batch, after every check that the format offers."""
    table = pa.ipc.open_stream(body).read_all()
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    check(stamp(metadata) == stamp(headers), "the stamp in the schema is not that of the headers")
    check(table.num_rows == int(headers["gannet-rows"]), "the number of rows is not that of the headers")
    for number, row in enumerate(table.to_pylist()):
        columns = [row["probe_id"].hex(), row["epoch"].hex(), str(row["stream"]), str(row["sequence"])]
        check(columns == [part.replace("-", "") for part in stamp(headers)], "a row has another stamp")
        check(row["row"] == number, "rows are not counted from 0")
        for name in ("source_ip_address", "destination_ip_address"):
            address = ipaddress.IPv6Address(row[name])
            row[name] = str(address.ipv4_mapped if row["ip_version"] == 4 else address)
        row["probe_id"], row["epoch"] = row["probe_id"].hex(), row["epoch"].hex()
        row["recovered_from"] = row["recovered_from"] and row["recovered_from"].hex()
        row["flow_end_reason"] = REASONS[row["flow_end_reason"]]
        yield row


def main():
    bootstrap, prefix = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "gannet"
    seen = set()
    for kind in ("flow", "ledger"):
        for partition, headers, body in messages(bootstrap, f"{prefix}.{kind}"):
            check(headers["gannet-version"] == VERSION, f"version {headers['gannet-version']} is not known here")
            check(f"{crc32c(body):08x}" == headers["gannet-crc32c"], "the CRC32C of a body is not that of its header")
            check(tuple(stamp(headers)) not in seen, f"batch {stamp(headers)} came twice")
            seen.add(tuple(stamp(headers)))
            if headers["gannet-kind"] == "ledger":
                print(json.dumps({"ledger": json.loads(body)}))
                continue
            for flow in flows(headers, body):
                print(json.dumps(flow | {"partition": partition}))


main()
