"""`kopeck export KIND`: the command and its help."""

import datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from cli.console import Exit, fail
from cli.main import load_settings, run

app = App(name="export", help="Write accounts, charges, payments, balances or readings as NDJSON or CSV.")


@app.default
def export(
    kind: Literal["accounts", "charges", "payments", "balances", "readings"],
    file: Annotated[Path | None, Parameter(help="Where to; standard output if not given.")] = None,
    *,
    format_: Annotated[Literal["ndjson", "csv"], Parameter(name="--format")] = "ndjson",
    provider: Annotated[str, Parameter(help="Only lines of this provider.")] = "",
    period: Annotated[str, Parameter(help="Only lines of this month, YYYY-MM.")] = "",
    since: Annotated[str, Parameter(help="Only what was recorded from this instant on, RFC 3339.")] = "",
    after: Annotated[str, Parameter(help="Go on after this cursor, of a line or of the last export.")] = "",
) -> None:
    """Write an export. Programs read it: nothing is masked, and CSV cells stay as they are, formulas too."""
    from cli import exports
    from cli.database import database_for
    from engine.ids import Period, parse_period
    from storage.exports import ExportQuery

    try:
        month = parse_period(period) if period else Period(0)
        instant = datetime.datetime.fromisoformat(since) if since else None
        if instant is not None and instant.tzinfo is None:
            raise ValueError("--since needs an offset, such as +03:00")
        query = ExportQuery(kind=kind, provider=provider, period=month, since=instant)
        query = exports.query_with(query, after) if after else query
        with database_for(load_settings()) as url:
            position = run(exports.write_export(url, query, format_, file))
    except (ValueError, OSError) as error:
        fail(Exit.USAGE, str(error))
    exports.tell_position(kind, position)
