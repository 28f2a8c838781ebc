"""The demonstration's billings: the running month's bills come as files, one in each of three formats, over HTTP.

The last one is a billing as they are met: it bills an account that nobody opened, says a line twice, adds up wrongly,
and has a service that nobody has said the meaning of. Its protocol is shown; its unknown service waits, and no money
of those accounts moves until somebody confirms it.
"""

import asyncio
import datetime
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from cli import demo_files, region
from cli.console import err, out, table
from cli.demo_connections import DemoFile
from cli.region_master import providers
from engine.calendar import due_date
from engine.ids import AccountId, Period
from engine.master import Provider
from engine.requisites import inn_of
from gateways.imports import ImportReply
from intake import presets
from intake.protocol import TITLES, Result
from intake.rows import ChargeRow
from storage import billing
from storage.billing import Billing, Terms

_FLATS_MAX = 1_000
_READY_S_MAX = 300.0
_PAUSE_S = 0.3
_SHOWN_ROWS = 8
_NOBODYS = AccountId("990000000000")


class Sender(NamedTuple):
    """A billing: the management company whose houses it bills, and how it writes."""

    name: str
    provider: str
    profile: str
    has_faults: bool = False


SENDERS = (
    Sender("uyutny-dvor", "P11", "charges-csv"),
    Sender("domovoy", "P12", "charges-dbf"),
    Sender("roshcha", "P13", "charges-xml", has_faults=True),
)


async def send_bills(database_url: str, home: Path, demo: DemoFile, accounts: int, seed: int, *, quiet: bool) -> bool:
    """Let every billing send its file, wait for what becomes of it, show it; return whether all was as it must be."""
    folder = home / "demo-files"
    folder.mkdir(exist_ok=True)
    period = running_month()
    for sender in SENDERS:
        terms = Terms(profiles={"charges": sender.profile}, opens_accounts=False)
        await billing.put_billing(
            database_url, Billing(billing=sender.name, agreement=region.AGREEMENT, terms=terms), "demo"
        )
    async with aiohttp.ClientSession(demo.base_url, timeout=aiohttp.ClientTimeout(total=60)) as session:
        made = [(sender, write_bills(sender, folder, accounts, seed, period)) for sender in SENDERS]
        numbers = [await _upload(session, demo, sender, path) for sender, path in made]
        ended = [
            await _until_done(session, demo, sender, number) for (sender, _), number in zip(made, numbers, strict=True)
        ]
        if not quiet:
            _show(ended)
            await _show_protocol(session, demo, ended[-1])
    err.print(f"files: {folder}") if not quiet else None
    return all(file.state == "done" for file in ended) and not sum(file.rows_rejected for file in ended[:-1])


def running_month() -> Period:
    """The month whose bills are being sent now, UTC."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    return Period(today.year * 100 + today.month)


def write_bills(sender: Sender, folder: Path, accounts: int, seed: int, period: Period) -> Path:
    """Write a billing's file of a month; return where it is."""
    profile = presets.PRESETS[sender.profile]
    path = folder / f"{sender.name}-{period}.{profile.form.value}"
    rows = list(_rows(sender, accounts, seed, period))
    demo_files.write([*rows, *(_faults(rows) if sender.has_faults else ())], path, profile)
    return path


def _rows(sender: Sender, accounts: int, seed: int, period: Period) -> Iterator[ChargeRow]:
    inns = {str(one.provider): one.inn for one in providers() if isinstance(one, Provider)}
    homes = (region.flat(seed, index) for index in range(accounts))
    billed = (home for home in homes if sender.provider in {provider for _, provider in home.services})
    for _, home in zip(range(_FLATS_MAX), billed, strict=False):
        chance = random.Random(f"{seed}/{home.account}/{period}")
        for service, provider in home.services:
            yield ChargeRow(
                row=0,
                account=home.account,
                period=period,
                service=str(service),
                provider=inns[str(provider)],
                accrued_kopecks=region.charge(home, service, chance),
                document=f"{sender.name}-{period}-{home.account}",
                due_on=due_date(period),
            )


def _faults(rows: list[ChargeRow]) -> Iterator[ChargeRow]:
    """What real files have: a line of nobody's, one said twice, one that does not add up, a service nobody knows."""
    yield msgspec.structs.replace(rows[0], account=_NOBODYS)
    yield rows[1]
    yield msgspec.structs.replace(
        rows[2],
        document="wrong",
        opening_kopecks=100_00,
        paid_kopecks=0,
        closing_kopecks=100_00 + rows[2].accrued_kopecks + 1,
    )
    for row in rows[3:30:9]:
        yield msgspec.structs.replace(row, service="DOMOFON-2", provider=inn_of("990199999"), accrued_kopecks=85_00)


async def _upload(session: aiohttp.ClientSession, demo: DemoFile, sender: Sender, path: Path) -> str:
    """Hand a file over; a door takes new keys within a few seconds."""
    headers = {"Authorization": f"Bearer {demo.api_keys[sender.name]}", "Content-Type": "application/octet-stream"}
    query = {"kind": "charges", "name": path.name}
    content = await asyncio.to_thread(path.read_bytes)
    async with asyncio.timeout(_READY_S_MAX):
        while True:
            async with session.post("/v1/imports", params=query, headers=headers, data=content) as reply:
                body = await reply.read()
            if reply.status in (200, 202):
                return msgspec.json.decode(body, type=ImportReply).id
            if reply.status != 401:
                raise RuntimeError(f"{path.name}: {reply.status} {body.decode()}")
            await asyncio.sleep(_PAUSE_S)


async def _until_done(session: aiohttp.ClientSession, demo: DemoFile, sender: Sender, number: str) -> ImportReply:
    headers = {"Authorization": f"Bearer {demo.api_keys[sender.name]}"}
    async with asyncio.timeout(_READY_S_MAX):
        while True:
            async with session.get(f"/v1/imports/{number}", headers=headers) as reply:
                file = msgspec.json.decode(await reply.read(), type=ImportReply)
            if file.state in ("done", "refused"):
                return file
            await asyncio.sleep(_PAUSE_S)


def _show(files: list[ImportReply]) -> None:
    shown = table(
        "billings' files", "file", "profile", ">rows", ">accepted", ">warned", ">rejected", ">waiting", "state"
    )
    for file in files:
        counts = (file.rows_total, file.rows_accepted, file.rows_warned, file.rows_rejected, file.rows_waiting)
        shown.add_row(file.name, file.profile, *(f"{count:,}" for count in counts), file.state)
    out.print(shown)


async def _show_protocol(session: aiohttp.ClientSession, demo: DemoFile, file: ImportReply) -> None:
    """The rows of the faulty file that were not plainly accepted, as its billing reads them."""
    headers = {"Authorization": f"Bearer {demo.api_keys[SENDERS[-1].name]}"}
    async with session.get(f"/v1/imports/{file.id}/protocol", headers=headers) as reply:
        lines = (await reply.text(encoding="utf-8-sig")).splitlines()
    told = [line for line in lines if (cells := line.split(";"))[0].isdecimal() and cells[2] != TITLES[Result.ACCEPTED]]
    out.print(f"protocol of {file.name}:", highlight=False)
    for line in told[:_SHOWN_ROWS]:
        out.print(f"  {line}", markup=False, highlight=False)
