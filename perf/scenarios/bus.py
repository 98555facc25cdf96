"""A broker of a scenario's own, and a topic that a probe has filled."""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from figures import ROOT, program
from process import balanced_books, run


class Filled(NamedTuple):
    """Records of the topic, and octets of its log, headers and marks of transactions included."""

    records: int
    octets: int


@contextlib.contextmanager
def broker(folder):
    """One that ends with us, whatever happens; its address."""
    script = str(ROOT / "deploy/kafka/broker")
    # Not KAFKA_BOOTSTRAP's: its files are looked at.
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}
    try:
        started = subprocess.run([script, "start", folder, "--until", str(os.getpid())], env=environment, stdout=subprocess.PIPE, text=True, check=True)
        yield started.stdout.strip()
    finally:
        subprocess.run([script, "stop", folder], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def fill(work, bootstrap, flows):
    """A probe reads the mix into the topic `gannet.flow`."""
    capture = f"{work}/capture.pcap"
    subprocess.run([program("gannet-replay"), "write", "--mix", "--flows", str(flows), "--flows-per-second", "50000", "--out", capture],
                   stdout=subprocess.DEVNULL, check=True)
    run([program("gannet-probe"), "-i", capture, "-M", str(1 << 20), "--user", "root", "--no-recovery", "--ntopng", f"kafka://{bootstrap}",
         "--state-dir", f"{work}/state", "--ledger", f"{work}/ledger"])
    os.unlink(capture)
    shutil.rmtree(f"{work}/state")
    segments = Path(work, "kafka", "data").glob("gannet.flow-*/*.log")
    balanced_books(f"{work}/ledger")
    read = run([program("examples/kafka_cost"), bootstrap, "gannet.flow", "read"]).stdout
    return Filled(json.loads(read)["records"], sum(segment.stat().st_size for segment in segments))
