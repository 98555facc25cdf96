"""A program run to its end on one CPU, and what it cost."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds of the processor, seconds by the clock, most memory (MiB), standard output and error."""

    cpu: float
    wall: float
    memory: float
    stdout: str
    stderr: str


# Nothing that is run here takes so long.
BOUND_SECONDS = 900


def run(command, cpu=None, codes=(0,)):
    """Runs it, and what it starts, on `cpu` alone. What its children cost counts if it waited for them."""
    clock = time.monotonic
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        pin = None if cpu is None else lambda: os.sched_setaffinity(0, {cpu})
        begun = clock()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, preexec_fn=pin)
        # wait4 has no bound of its own.
        watch = threading.Timer(BOUND_SECONDS, child.kill)
        watch.start()
        try:
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        finally:
            watch.cancel()
        wall = clock() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        cost = Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024, out.read(), err.read())
    if child.returncode not in codes:
        raise RuntimeError(f"{command[0]} ended with {child.returncode}: {cost.stderr[-2000:]}")
    return cost


def memory_folder(gibibytes):
    """Where files are in memory: no disk in what is measured."""
    shm = Path("/dev/shm")
    if not (shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > gibibytes * 2**30):
        sys.exit(f"{shm} has less than {gibibytes} GiB free: on a disk other figures would come out\n  mend: mount -o remount,size={gibibytes + 1}G {shm}")
    return str(shm)


def balanced_books(path):
    """What the probe wrote by --ledger; nothing is measured by a run whose books do not balance."""
    books = json.loads(Path(path).read_text())
    if books["total"]["residual"] != 0:
        raise RuntimeError(f"the books do not balance: {books['total']}")
    return books
