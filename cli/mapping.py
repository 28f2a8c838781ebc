"""`kopeck mapping`: mappings read and shown for people."""

import sys
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence

import msgspec
from rich.markup import escape

from cli.console import Exit, err, fail, out, table
from cli.imports import show_waiting as show_waiting_rows
from cli.nsi import show_history
from storage import billing_waiting, mapping, master
from storage.billing_waiting import WaitingCode
from storage.mapping import Mapping, Status, Waiting
from storage.mapping_decisions import Refusal
from storage.master import ChangeRow

ANY = "any"


class Told(msgspec.Struct, frozen=True):
    """One mapping with its history, and what waits for its code."""

    mapping: Mapping
    changes: list[ChangeRow]
    waiting: list[WaitingCode]


def checked_status(status: str) -> None:
    """End with the list of statuses if there is no such."""
    if status != ANY and status not in list(Status):
        fail(Exit.USAGE, f"--status is one of {', '.join(Status)}, {ANY}")


async def read_list(database_url: str, source: str, status: str) -> list[Mapping]:
    """Read mappings of a sender (empty: all) and a status. Errors: `NotDone`."""
    return await mapping.list_mappings(database_url, source, "" if status == ANY else status)


async def read_waiting(database_url: str) -> list[Waiting]:
    """Count what waits. Errors: `NotDone`."""
    return await mapping.count_waiting(database_url)


async def read_one(database_url: str, number: int) -> Told | None:
    """Read one mapping with its history, or None. Errors: `NotDone`."""
    found = await mapping.find_mapping(database_url, number)
    if found is None:
        return None
    waiting = [
        code
        for code in await billing_waiting.list_waiting(database_url, found.source)
        if (code.kind, code.code) == (found.kind, found.code)
    ]
    return Told(found, await master.history(database_url, "mappings", str(number)), waiting)


def show_list(found: Sequence[Mapping]) -> None:
    """Show mappings as a table."""
    shown = table("mappings", ">id", "sender", "kind", "code", "name", "means", "%", "how", "status", "proposed by")
    for row in found:
        shown.add_row(
            *(str(row.mapping), escape(row.source), row.kind, escape(row.code), escape(row.name)),
            *(escape(row.master_id or "?"), str(row.confidence_percent), row.method, row.status),
            escape(row.proposed_by),
        )
    out.print(shown)


def show_waiting(found: Sequence[Waiting]) -> None:
    """Show how many codes wait for a person."""
    if not found:
        out.print("no code waits for a person")
        return
    shown = table("codes that wait", "sender", "kind", ">codes", ">of them unlike anything we know")
    for row in found:
        shown.add_row(escape(row.source), row.kind, f"{row.codes:,}", f"{row.unlike_anything:,}")
    out.print(shown)


def show_one(told: Told) -> None:
    """Show every field of a mapping, and its history."""
    shown = table(f"mapping {told.mapping.mapping}", "field", "value")
    for name, value in msgspec.structs.asdict(told.mapping).items():
        shown.add_row(name, "" if value is None else escape(str(value)))
    out.print(shown)
    show_history(told.changes)
    if told.waiting:
        show_waiting_rows(told.waiting)


def end_decided(verb: str, numbers: Sequence[int], refused: Dictionary[int, Refusal]) -> None:
    """Say what was decided, or why nothing was, and end with the exit code of it."""
    for number, refusal in refused.items():
        err.print(f"mapping {number}: {refusal.value}", soft_wrap=True)
    if refused:
        err.print(f"nothing was {verb}")
        sys.exit(Exit.WRONG)
    out.print(f"{verb}: {', '.join(map(str, numbers))}")
