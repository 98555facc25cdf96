"""The mirror port's own counters beside the ledger: the witness that is neither the probe nor the generator."""

import json
import sys

PACKETS_DIFFER = 3


def main() -> int:
    ledger_path, replay_path, port = sys.argv[1:]
    with open(ledger_path, encoding="utf-8") as file:
        total = json.load(file)["total"]
    received = json.loads(port)[0]["stats64"]["rx"]
    seen = total["seen"]["packets"]
    rows = [
        ("received by the mirror port (ip -s link)", received["packets"]),
        ("seen by the probe's XDP program", seen),
        ("  in stored records", total["in_records"]["packets"]),
        ("  excepted (not IP, broken), by reason", total["excepted"]["packets"]),
        ("  lost, by reason", total["lost"]["packets"]),
        ("dropped by the mirror port", received["dropped"]),
    ]
    for name, value in rows:
        print(f"{name:<44}{value:>14,}")
    try:
        with open(replay_path, encoding="utf-8") as file:
            report = json.load(file)
        print(f"{'of those, sent by gannet-replay':<44}{report['arrived']['packets']:>14,}")
    except (OSError, ValueError):
        print("gannet-replay left no report")
    if received["packets"] != seen:
        print(f"the mirror port and the probe differ by {received['packets'] - seen} packets", file=sys.stderr)
        return PACKETS_DIFFER
    return 0


if __name__ == "__main__":
    sys.exit(main())
