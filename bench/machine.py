"""What a measurement was made on: numbers mean nothing without it. No names of hosts, no paths."""

import os
import platform
import re
from pathlib import Path

import msgspec

from storage.database import connected


class Machine(msgspec.Struct, frozen=True):
    """The machine and the software under test."""

    processor: str
    cores: int
    memory_gb: int
    kernel: str
    python: str
    postgres: str
    fsync: str
    file_system: str


async def describe(database_url: str, data: Path) -> Machine:
    """Describe this machine; `data` is where the database lives."""
    async with connected(database_url) as connection:
        postgres = await connection.fetchval("SHOW server_version")
        fsync = await connection.fetchval(
            "SELECT current_setting('fsync') || '/' || current_setting('synchronous_commit')"
        )
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        kernel=platform.release(),
        python=platform.python_version(),
        postgres=postgres,
        fsync=fsync,
        file_system=_file_system(data),
    )


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _file_system(path: Path) -> str:
    """The kind of the file system under a path, by the longest mount point that holds it."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [(len(point), kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(holding)[1] if holding else "unknown"
