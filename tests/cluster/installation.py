"""A whole installation for tests of faults: `kopeck up` in a process of its own, found and hurt from outside."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

KOPECK = Path(sys.executable).with_name("kopeck")
_UP_S_MAX = 90.0
_PAUSE_S = 0.05


class Installation:
    """One home, one port; started, hurt and started again."""

    def __init__(self, accounts: int) -> None:
        # Postgres runs as `nobody` when tests are run by root: its folder must be reachable for that user.
        self.home = Path(tempfile.mkdtemp(prefix="kopeck-cluster-"))
        self.home.chmod(0o755)
        self._accounts = accounts
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.up: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        own = {"KOPECK_HOME": str(self.home), "KOPECK_PORT": str(self.port), "KOPECK_GATEWAYS": "2"}
        return {key: value for key, value in os.environ.items() if not key.startswith("KOPECK_")} | own

    def start(self) -> float:
        """Start `kopeck up`; return the seconds until payments were taken."""
        begun = time.monotonic()
        log = (self.home / "up.log").open("ab")
        self.up = subprocess.Popen([KOPECK, "up"], env=self.environment(), stdout=log, stderr=log)
        self.wait_until_ready()
        return time.monotonic() - begun

    def wait_until_ready(self, seconds: float = _UP_S_MAX) -> float:
        """Wait until `/readyz` is 200; return how long that took."""
        begun = time.monotonic()
        while not self.is_ready():
            assert self.up is not None
            assert self.up.poll() is None, (self.home / "up.log").read_text()[-4000:]
            assert time.monotonic() - begun < seconds, "not ready in time"
            time.sleep(_PAUSE_S)
        return time.monotonic() - begun

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=3) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of kopeck's in this installation."""
        return subprocess.run(
            [KOPECK, *arguments], env=self.environment(), capture_output=True, text=True, timeout=120, check=False
        )

    def seed(self) -> dict[str, Any]:
        """Load the region; return what demo.json says."""
        done = self.run("seed", "--accounts", str(self._accounts), "--quiet")
        assert done.returncode == 0, done.stderr
        demo: dict[str, Any] = json.loads((self.home / "demo.json").read_text())
        return demo

    def status(self) -> dict[str, Any]:
        """What `kopeck status` says."""
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def shard_pid(self, shard: int) -> int:
        """The process of a shard."""
        return next(int(row["pid"]) for row in self.status()["shards"] if row["shard"] == shard)

    def pids(self, title: str) -> list[int]:
        """Processes of this installation by what their command line contains."""
        return [pid for pid, command in self._processes() if title in command]

    def everything(self) -> list[int]:
        """Every process that lives by this installation's home."""
        return [pid for pid, _ in self._processes()]

    def _processes(self) -> list[tuple[int, str]]:
        ours = f"KOPECK_HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if ours in (entry / "environ").read_bytes().split(b"\0") or str(self.home) in command:
                        found.append((int(entry.name), command))
                except OSError:
                    continue
        return [(pid, command) for pid, command in found if command]

    def kill_everything(self) -> None:
        """What a power cut does to processes: every one of them, at once."""
        for pid in self.everything():
            _kill(pid)
        assert self.up is not None
        self.up.wait(10)

    def stop(self) -> float:
        """Ask it to end; return the seconds it took."""
        assert self.up is not None
        begun = time.monotonic()
        self.up.send_signal(signal.SIGTERM)
        assert self.up.wait(60) == 0, (self.home / "up.log").read_text()[-4000:]
        return time.monotonic() - begun

    def remove(self) -> None:
        """End whatever is left, remove the data."""
        for pid in self.everything():
            _kill(pid)
        if self.up is not None:
            self.up.wait(10)
        shutil.rmtree(self.home, ignore_errors=True)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
