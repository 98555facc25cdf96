"""A line a second of what the probe meters and the collector stores, from the collector's API."""

import json
import sys
import time
import urllib.error
import urllib.request


def ask(base: str, path: str) -> dict:
    with urllib.request.urlopen(base + path, timeout=5) as answer:
        return json.load(answer)


def line(base: str) -> str | None:
    """The probe's last second by its in-band counters, and the books as they stand."""
    now = ask(base, "/api/v1/now?seconds=10")
    seconds = [second for probe in now["probes"] for second in probe["seconds"]]
    if not seconds:
        return None
    last = max(seconds, key=lambda second: second["time_nanoseconds"])
    interval = last["interval_nanoseconds"] / 1e9
    packets = last["seen_packets"] / interval
    megabits = last["seen_octets"] * 8 / interval / 1e6
    ledger = ask(base, "/api/v1/ledger")
    total = ledger["epochs"][-1]["total"]
    return (
        f"{packets:9,.0f} packets/s {megabits:7,.1f} Mbit/s | {total['open_flows']:6,} flows open,"
        f" {total['stored']['records']:7,} stored | lost {ledger['lost']['packets']:,} packets,"
        f" {ledger['lost']['records']:,} records | residual {ledger['residual']['packets']:,}"
    )


def main() -> None:
    base, duration = sys.argv[1], float(sys.argv[2])
    start = time.monotonic()
    for second in range(1, int(duration) + 1):
        time.sleep(max(0.0, start + second - time.monotonic()))
        try:
            text = line(base)
        except (urllib.error.URLError, TimeoutError, KeyError, IndexError) as error:
            text = f"the collector does not answer: {error}"
        print(f"{second:4} s  {text or 'nothing heard yet'}", flush=True)


if __name__ == "__main__":
    main()
