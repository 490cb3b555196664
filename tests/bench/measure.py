"""What a command takes: seconds, CPU time (user and system, children included), memory, and what it printed. The memory of
a tree of processes is read from /proc twice a second, so it is known on Linux alone."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    wall: float
    cpu: float
    largest: int  # kB, the high-water mark of the largest process
    tree: int  # kB, the largest sum over all processes, shared pages counted once
    out: str


def measured(command, accepted=(0,), **options):
    """The Usage of a command that ends in one of the accepted exit codes."""
    words, start = [str(word) for word in command], time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(words, stdout=out, stderr=err, **options)
        sampler = Sampler(child.pid)
        sampler.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        sampler.over.set()
        sampler.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if child.returncode not in accepted:
            sys.exit(f"{' '.join(words)}\n{out.read()}\n{err.read()}")
        return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, sampler.peak, out.read())


class Sampler(threading.Thread):
    """Follows the memory of a process and its descendants."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.over = pid, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            self.peak = max(self.peak, sum(map(resident, descendants(self.pid))))


def descendants(pid):
    """The process and everything it started that still runs."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                pass
    return found


def resident(pid):
    """Kilobytes, a page shared by n processes counted as an nth."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
