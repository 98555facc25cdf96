"""What a scenario says: figures, round by round, each with its floor beside it, as one JSON document on standard output.

    figure  {name, what, unit, rounds, floor: {what, unit, rounds} or null, counts: "yes" or why not}

`name` is that of perf/budgets. A figure that has no budget there is only told.
"""

import argparse
import json
import os
import signal
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Another build's, on request: a trial of a scenario needs no optimised one.
PROGRAMS = Path(os.environ.get("GANNET_PROGRAMS", ROOT / "target" / "release")).resolve()


def arguments(description, rounds=5, **more):
    """Every scenario has --rounds and --cpu; `more`: name = (default, what it says)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often everything takes its turn [default: {rounds}]")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="CPU of what is measured [default: the last]")
    for name, (default, text) in more.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default, help=f"{text} [default: {default}]")
    parsed = parser.parse_args()
    if parsed.rounds < 1:
        parser.error("--rounds: at least 1")
    # A scenario that is ended leaves nothing behind: what it opened is closed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return parsed


def program(name):
    """One of ours."""
    path = PROGRAMS / name
    if not path.is_file():
        sys.exit(f"no {name} in {PROGRAMS}: run make measured")
    return str(path)


def figure(name, what, unit, rounds, floor=None, counts="yes"):
    """`floor`: (what, unit, rounds)."""
    if floor is not None:
        floor = dict(zip(("what", "unit", "rounds"), floor))
    return {"name": name, "what": what, "unit": unit, "rounds": list(rounds), "floor": floor, "counts": counts}


def median(values):
    return statistics.median(values)


def spread(values, unit=""):
    """Median, least and most: `64.6 (63.7 to 64.8) ns`."""
    values = sorted(values)
    middle = median(values)
    digits = 0 if abs(middle) >= 1000 else 1 if abs(middle) >= 20 else 2 if abs(middle) >= 1 else 3
    text = f"{middle:,.{digits}f}"
    if len(values) > 1:
        text += f" ({values[0]:,.{digits}f} to {values[-1]:,.{digits}f})"
    return f"{text} {unit}".strip()


def say(text):
    """Progress, for who waits."""
    print(f"  {text}", file=sys.stderr, flush=True)


def emit(scenario, setting, found, notes=()):
    """`setting`: traffic and placement, in a sentence."""
    for each in found:
        floor = f"; floor: {each['floor']['what']} {spread(each['floor']['rounds'], each['floor']['unit'])}" if each["floor"] else ""
        say(f"{each['what']}: {spread(each['rounds'], each['unit'])}{floor}")
    json.dump({"scenario": scenario, "setting": setting, "figures": found, "notes": list(notes)}, sys.stdout)
    print()
