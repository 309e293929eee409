"""CPU and memory of each part, and how much of the machine others used meanwhile."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]  # it ships no types


@dataclass(frozen=True, slots=True)
class Usage:
    cpu: Mapping[str, float]
    """Seconds by part, since each began."""
    threads: Mapping[int, float]
    """Seconds by thread of the worker."""
    machine: float
    """Seconds that all processors were busy."""

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(
            cpu={part: seconds - earlier.cpu[part] for part, seconds in self.cpu.items()},
            threads={each: seconds - earlier.threads.get(each, 0.0) for each, seconds in self.threads.items()},
            machine=self.machine - earlier.machine,
        )


def look(parts: Mapping[str, int]) -> Usage:
    """`parts` are process ids by name; a server's children count with it, also those that have ended."""
    return Usage(
        cpu={name: sum(map(_seconds, _tree(pid))) for name, pid in parts.items()},
        threads={each.id: each.user_time + each.system_time for each in psutil.Process(parts["worker"]).threads()},
        machine=_busy_seconds(),
    )


def by_kind(threads: Mapping[int, float], names: Mapping[int, str]) -> dict[str, float]:
    """Python's threads carry the names of their pools; the others are the SDK's own, which is not written in Python."""
    kinds: dict[str, float] = defaultdict(float)
    for native_id, seconds in threads.items():
        kinds[re.sub(r"[_-]?\d+$", "", names.get(native_id, "native"))] += seconds
    return dict(kinds)


def megabytes(pid: int) -> float:
    """What shared pages weigh is shared out (where the system can say so)."""
    return sum(_bytes(process) for process in _tree(pid)) / 1e6


def load() -> float:
    return round(os.getloadavg()[0], 2)


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    # Our own children are the other parts.
    return [process] if pid == os.getpid() else [process, *process.children(recursive=True)]


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0  # it counts with its parent from now on
    ended = 0.0 if process.pid == os.getpid() else times.children_user + times.children_system
    return float(times.user + times.system + ended)


def _bytes(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0
    return int(getattr(memory, "pss", memory.uss))


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    # A guest's time is in user's already; what the host took away is somebody else's work as well.
    return float(
        times.user + times.system + sum(getattr(times, name, 0.0) for name in ("nice", "irq", "softirq", "steal"))
    )
