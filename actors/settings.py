"""Deployment settings: every `KOPECK_*` variable, typed, in one object; and the bounds of every queue."""

import os
from pathlib import Path

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One installation's settings, as read from the environment.

    Units: `_s` seconds, `_ms` milliseconds. Empty URLs mean: the embedded server under `home`. `inbox`: the folder that
    is watched for registers, a sub-folder a connection; `home`/inbox unless given.
    """

    home: Path
    database_url: str = ""
    redis_url: str = ""
    ray_address: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    shards: int = 2
    gateways: int = 1
    gateway_deadline_ms: int = 5_000
    call_timeout_ms: int = 2_500
    accounts_cached_max: int = 400_000
    inbox_commands_max: int = 8_192
    commit_entries_max: int = 2_048
    snapshot_every_events: int = 16
    snapshot_evicted_events: int = 4
    keys_remembered_max: int = 65_536
    keys_doubted_commands: int = 4_096
    parked_retry_ms: int = 60_000
    batch_commands_min: int = 64
    batch_commands_max: int = 256
    batches_in_flight_max: int = 3
    router_commands_max: int = 16_384
    allow_insecure: bool = False
    inbox: Path | None = None
    register_bytes_max: int = 268_435_456

    @property
    def archive_folder(self) -> Path:
        """Where files are kept as received; every process of an installation must reach it."""
        return self.home / "archive"

    @property
    def inbox_folder(self) -> Path:
        """The folder that is watched for registers and statements."""
        return self.inbox or self.home / "inbox"


def default_home() -> Path:
    """Return where an installation keeps its data unless told: root's own home is closed to Postgres' user."""
    return Path("/var/lib/kopeck") if os.geteuid() == 0 else Path.home() / ".kopeck"


def load(environment: dict[str, str] | None = None) -> Settings:
    """Read the settings from `KOPECK_*` variables.

    Errors: msgspec.ValidationError naming the setting whose text is not of its type; ValueError for relations broken.
    """
    variables = dict(os.environ) if environment is None else environment
    given = {
        field.name: variables[name]
        for field in msgspec.structs.fields(Settings)
        if (name := "KOPECK_" + field.name.upper()) in variables
    }
    given.setdefault("home", str(default_home()))
    settings = msgspec.convert(given, Settings, strict=False, dec_hook=_path)
    _check(settings)
    return settings


def _path(kind: type, text: object) -> object:
    if kind is Path and isinstance(text, str):
        return Path(text).expanduser().absolute()
    raise NotImplementedError(f"no setting has the type {kind}")


def _check(settings: Settings) -> None:
    """Relations between limits that must hold for back-pressure to work."""
    if settings.shards < 1 or settings.gateways < 1:
        raise ValueError("KOPECK_SHARDS and KOPECK_GATEWAYS are at least 1")
    if settings.batch_commands_max > settings.inbox_commands_max:
        raise ValueError("one batch must fit a shard's inbox")
    if settings.accounts_cached_max < settings.inbox_commands_max + settings.commit_entries_max:
        raise ValueError("the account cache must hold all accounts that are being worked on")
