"""What happens to registers by the clock: days whose register is due, the bank's money, the inbox folder.

The inbox is `<inbox>/<connection>/<file>`. A file is taken when it has not changed for some seconds; one that is being
written under a temporary name (`.part`, `.tmp`, `.filepart`, or beginning with a point) is left alone until it is
renamed. It is moved to `done/` or `refused/` beside it, under its number, with a protocol; an interruption before the
move is no loss, for the same content is the same file and gives the first result.
"""

import asyncio
import datetime
import logging
import time
from pathlib import Path

from prometheus_client import Gauge

from actors import statement_run
from actors.profiles import NoSuchProfile
from actors.register_intake import (
    Delivery,
    Interrupted,
    NoSuchConnection,
    Place,
    contract_of,
    contracts,
    receive,
)
from actors.register_protocol import protocol_of
from actors.register_run import work
from engine.calendar import add_working_days
from engine.registers import Contract
from storage import cases, codec, register_days, taken
from storage.errors import NotDone
from storage.received import ReceivedFile

_DAYS_BACK_MAX = 31
_STABLE_S = 3.0
_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
_WHO = "inbox"

_FOLLOWING_SHARE_PERCENT = 20
_log = logging.getLogger("kopeck.registers")
_MISSING = Gauge("kopeck_registers_missing", "Operating days whose register is due and not here", ["connection"])
_CASES = Gauge("kopeck_cases_open", "Cases that wait for a person", ["connection", "kind"])


async def close_days(database_url: str, now_us: int | None = None) -> None:
    """Look at every operating day whose register is due; to be called every few minutes. Errors: `NotDone`."""
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    watched = [contract for contract in await contracts(database_url) if contract.register.expected_since is not None]
    if watched:
        await taken.follow(database_url, share_percent=_FOLLOWING_SHARE_PERCENT)
    for contract in watched:
        await _close_days_of(database_url, contract, now_us)
    await _show(database_url)


async def _close_days_of(database_url: str, contract: Contract, now_us: int) -> None:
    since = contract.register.expected_since
    if since is None:
        return
    today = contract.local_date(now_us)
    due = [
        day
        for back in range(_DAYS_BACK_MAX, -1, -1)
        if (day := today - datetime.timedelta(days=back)) >= since and contract.due_us(day) <= now_us
    ]
    due_on = add_working_days(today, contract.register.case_working_days)
    for day in await register_days.incomplete(database_url, contract.name, due):
        begins_us, ends_us = contract.span_us(day)
        asked = register_days.Day(
            connection=contract.name,
            source=contract.source,
            day=day,
            begins_at=codec.instant(begins_us),
            ends_at=codec.instant(ends_us),
        )
        if await register_days.close_day(database_url, asked, due_on) == "missing":
            _log.warning("connection=%s day=%s: the register is due and not here", contract.name, day)


async def _show(database_url: str) -> None:
    """Let the metrics show what is open now."""
    _MISSING.clear()
    for connection, days in (await register_days.missing(database_url)).items():
        _MISSING.labels(connection).set(days)
    _CASES.clear()
    for (connection, kind), count in (await cases.count_open(database_url)).items():
        _CASES.labels(connection, kind).set(count)


async def match_transfers(database_url: str) -> None:
    """Look whether the money that registers told of has come; to be called every hour or so. Errors: `NotDone`."""
    await statement_run.match_transfers(database_url)


# The inbox -----------------------------------------------------------------------------------------------------------


async def watch_inbox(place: Place, inbox: Path, size_bytes_max: int, now_s: float | None = None) -> list[ReceivedFile]:
    """Take every file that lies ready in the inbox, once through; return those that were brought to their end.

    Rule: what cannot be done now stays where it is, for the next time. To be called every few seconds.
    """
    now_s = time.time() if now_s is None else now_s
    ended = []
    for path in await asyncio.to_thread(_ready, inbox, now_s):
        try:
            ended.append(await _take(place, path, size_bytes_max))
        except (Interrupted, NotDone) as error:
            _log.warning("connection=%s a file stays in the inbox: %s", path.parent.name, error)
        except NoSuchConnection:
            _log.warning("inbox folder %s is no connection's; its files are left alone", path.parent.name)
        except NoSuchProfile as error:
            _log.warning("connection=%s a file stays in the inbox: no profile %s", path.parent.name, error)
    return ended


def _ready(inbox: Path, now_s: float) -> list[Path]:
    """The files that may be taken, oldest first."""
    found = []
    for folder in inbox.iterdir() if inbox.is_dir() else ():
        if folder.is_dir() and not folder.is_symlink():
            found += [path for path in folder.iterdir() if _is_ready(path, now_s)]
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))


def _is_ready(path: Path, now_s: float) -> bool:
    if path.name.startswith(".") or path.name.lower().endswith(_UNFINISHED) or path.is_symlink() or not path.is_file():
        return False
    status = path.stat()  # A sender may give the time of the content, but not that of the inode.
    return now_s - max(status.st_mtime, status.st_ctime) >= _STABLE_S


async def _take(place: Place, path: Path, size_bytes_max: int) -> ReceivedFile:
    contract = await contract_of(place.database_url, path.parent.name)
    delivery = Delivery(name=path.name, connection=contract.name, who=_WHO)
    with path.open("rb") as content:
        file, _ = await receive(place.database_url, place.archive, content, delivery, size_bytes_max)
    ended = await work(place, file.file)
    await asyncio.to_thread(_move, path, ended, await protocol_of(place.database_url, ended))
    return ended


def _move(path: Path, file: ReceivedFile, protocol: str) -> None:
    """The protocol first: a file that was moved has one."""
    folder = path.parent / ("done" if file.state == "done" else "refused")
    folder.mkdir(exist_ok=True)
    target = folder / f"{file.file}-{path.name}"
    (folder / f"{target.name}.protocol.txt").write_text(protocol, encoding="utf-8")
    path.replace(target)
