"""Connections and their history as tables and JSON. Nothing here has ever held a secret but `Written.secrets`."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.markup import escape

from cli.connection_changes import Proposal
from cli.connection_settings import Difference, Settings, differences_told, settings_of, shown
from cli.console import out, table
from engine.money import format_roubles_human
from gateways.connections import Row, read_connection
from storage.connections import Action, ConnectionRow, PastChange

_TAKEN = "gateways take it within 2 seconds"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A connection in the list. `problem`: why gateways cannot read it; then its terms are not known."""

    connection: str
    dialect: str
    active: bool
    source: str
    amount_kopecks_min: int | None
    amount_kopecks_max: int | None
    allow_networks: tuple[str, ...]
    changed_at: datetime.datetime
    changed_by: str
    problem: str


class LookedAt(msgspec.Struct, frozen=True, kw_only=True):
    """One connection, all its settings but the secrets."""

    connection: str
    dialect: str
    active: bool
    version: int
    settings: Settings
    last_change: PastChange


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a change did, or would do. `secrets` are told here once and never again."""

    connection: str
    action: Action
    is_written: bool
    differences: tuple[Difference, ...]
    dangers: tuple[str, ...]
    secrets: dict[str, str]


def listed(rows: Sequence[ConnectionRow], last: Mapping[str, PastChange]) -> list[Listed]:
    """List connections as gateways read them."""
    return [_listed(row, last[row.connection]) for row in rows]


def _listed(row: ConnectionRow, last: PastChange) -> Listed:
    connection, problem = None, ""
    try:
        connection = read_connection(Row(row.connection, row.dialect, row.active, row.settings))
    except (msgspec.DecodeError, UnicodeError) as error:
        problem = str(error)
    return Listed(
        connection=row.connection,
        dialect=row.dialect,
        active=row.active,
        source=connection.source if connection else "",
        amount_kopecks_min=connection.amount_kopecks_min if connection else None,
        amount_kopecks_max=connection.amount_kopecks_max if connection else None,
        allow_networks=connection.allow_networks if connection else (),
        changed_at=last.changed_at,
        changed_by=last.who,
        problem=problem,
    )


def show_list(rows: Sequence[Listed]) -> None:
    """Show the list to people."""
    grid = table(
        "connections", "name", "dialect", "active", "source", ">from", ">to", "addresses", "changed (UTC)", "by"
    )
    for row in rows:
        grid.add_row(
            *(row.connection, row.dialect, "yes" if row.active else "[red]no[/]"),
            *(escape(text) for text in _terms(row)),
            *(_utc(row.changed_at), escape(row.changed_by)),
        )
    out.print(grid)


def _terms(row: Listed) -> tuple[str, str, str, str]:
    """Source, limits, addresses; or why they are not known."""
    if row.amount_kopecks_min is None or row.amount_kopecks_max is None:
        return "", "", "", f"unreadable: {row.problem}"
    limits = (format_roubles_human(row.amount_kopecks_min), format_roubles_human(row.amount_kopecks_max))
    return row.source, *limits, ", ".join(row.allow_networks) or "any"


def looked_at(row: ConnectionRow, last: PastChange) -> LookedAt:
    """Look at one connection, without its secrets."""
    return LookedAt(
        connection=row.connection,
        dialect=row.dialect,
        active=row.active,
        version=row.version,
        settings=shown(settings_of(row)),
        last_change=last,
    )


def show_connection(found: LookedAt) -> None:
    """Show one connection to people."""
    state = "active" if found.active else "[red]disabled[/]"
    out.print(f"[bold]{escape(found.connection)}[/]   {escape(found.dialect)}   {state}   version {found.version}")
    out.print(escape(msgspec.json.format(msgspec.json.encode(found.settings)).decode()))
    out.print(_headline(found.last_change), soft_wrap=True)


def show_history(changes: Sequence[PastChange]) -> None:
    """Show past changes to people, the newest first."""
    for change in changes:
        out.print(_headline(change), soft_wrap=True)
        _show_differences(differences_told(change.before, change.after))
    if not changes:
        out.print("no changes")


def _headline(change: PastChange) -> str:
    why = f": {change.why}" if change.why else ""
    what = f"{change.action} {change.connection} (version {change.version}) by {change.who}{why}"
    return f"{_utc(change.changed_at)}  {escape(what)}"


def written(proposal: Proposal, *, is_written: bool) -> Written:
    """Tell what a change did, or would do: secrets only once they are in force."""
    return Written(
        connection=proposal.change.row.connection,
        action=proposal.change.action,
        is_written=is_written,
        differences=proposal.differences,
        dangers=proposal.dangers,
        secrets=proposal.secrets if is_written else {},
    )


def show_proposal(proposal: Proposal, *, is_written: bool) -> None:
    """Show to people what a change did, or would do."""
    name = escape(proposal.change.row.connection)
    if not proposal.differences:
        out.print(f"{name}: nothing changes")
        return
    _show_differences(proposal.differences)
    if not is_written:
        for danger in proposal.dangers:
            out.print(f"  [red]{escape(danger)}[/]")
        out.print(f"{name}: this would change; nothing was written")
        return
    for what, secret in proposal.secrets.items():
        out.print(f"  {what}: [bold]{escape(secret)}[/]", soft_wrap=True)
    if proposal.secrets:
        out.print("  shown this once: give it to the sender over a safe channel; only its digest is kept")
    out.print(f"{name}: {proposal.change.action} done; {_TAKEN}")


def _show_differences(differences: Sequence[Difference]) -> None:
    for difference in differences:
        before, after = _text(difference.before), _text(difference.after)
        out.print(f"  {escape(difference.path)}: {escape(before)} -> {escape(after)}", soft_wrap=True)


def _text(value: Any) -> str:
    return "-" if value is None else msgspec.json.encode(value).decode()


def _utc(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
