"""The mirror port's own counters beside the books: the witness that is neither the probe nor the generator.

Three speak here, and none is computed from another: the port (what the kernel received on it), the probe (what its XDP
program saw, and what it excepted or lost, by reason), the collector (packets in the rows of its store).
"""

import json
import sys
from collections import Counter

PACKETS_DIFFER = 3


def read(path: str) -> dict | list:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def by_reason(epochs: list[dict], term: str) -> Counter[str]:
    """A term of the probe's ledger message, over all its starts."""
    total: Counter[str] = Counter()
    for epoch in epochs:
        total.update(epoch["total"][term])
    return total


def line(name: str, packets: int) -> None:
    print(f"{name:<58}{packets:>14,}")


def lines(name: str, amounts: Counter[str]) -> None:
    line(f"  {name}", amounts.total())
    for reason, packets in sorted(amounts.items()):
        line(f"    {reason}", packets)


def table(port: dict, seen: int, books: dict) -> list[str]:
    """Prints it; returns what does not fit, in sentences."""
    epochs = books["epochs"]
    stored = sum(epoch["total"]["stored"]["packets"] for epoch in epochs)
    excepted, lost = by_reason(epochs, "excepted"), by_reason(epochs, "lost")
    line("received by the mirror port (ip -s link)", port["packets"])
    line("seen by the probe's XDP program", seen)
    line("  in the collector's stored rows", stored)
    lines("excepted by the probe (no flow is made of these)", excepted)
    lines("lost", lost)
    line("dropped by the mirror port before the probe", port["dropped"])
    differ = []
    if port["packets"] != seen:
        differ.append(f"the mirror port received {port['packets']:,} packets, the probe saw {seen:,}")
    accounted = stored + excepted.total() + lost.total()
    if accounted != seen:
        differ.append(f"the probe saw {seen:,} packets, {accounted:,} are stored, excepted or lost")
    return differ


def main() -> int:
    port_path, ledger_path, books_path, replay_path = sys.argv[1:]
    seen = read(ledger_path)["total"]["seen"]["packets"]
    differ = table(read(port_path)[0]["stats64"]["rx"], seen, read(books_path))
    try:
        line("of those received, sent by gannet-replay", read(replay_path)["arrived"]["packets"])
    except (OSError, ValueError):
        print("gannet-replay left no report")
    for sentence in differ:
        print(sentence, file=sys.stderr)
    return PACKETS_DIFFER if differ else 0


if __name__ == "__main__":
    sys.exit(main())
