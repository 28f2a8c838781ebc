"""`kopeck mapping …`: what senders' codes mean, and the persons' decisions on it."""

import datetime
import sys
from typing import Annotated

from cyclopts import App, Parameter

from cli.console import Exit, fail, out, print_json
from cli.main import Json, run
from cli.nsi_commands import ready_database

app = App(
    name="mapping",
    help="What senders' codes mean. No money moves over a code that nobody has confirmed.",
)

Source = Annotated[str, Parameter(help="Only of this sender.")]
Who = Annotated[str, Parameter(help="Who decides.")]
Why = Annotated[str, Parameter(help="Why; kept with the decision.")]
Number = Annotated[int, Parameter(name="ID", help="The mapping's number, as `list` shows it.")]
Numbers = Annotated[list[int], Parameter(name="ID", negative=(), help="Numbers of mappings, as `list` shows them.")]


@app.command(name="list")
def list_(*, source: Source = "", status: str = "proposed", json: Json = False) -> None:
    """Show mappings; those that wait for a person unless another status is named (`any`: all of them)."""
    from cli import mapping

    mapping.checked_status(status)
    with ready_database() as url:
        found = run(mapping.read_list(url, source, status))
    if json:
        print_json(found)
    else:
        mapping.show_list(found)


@app.command
def waiting(*, json: Json = False) -> None:
    """Count the codes that wait for a person; `kopeck import waiting` shows the rows. Exit code 1 when any does."""
    from cli import mapping

    with ready_database() as url:
        found = run(mapping.read_waiting(url))
    if json:
        print_json(found)
    else:
        mapping.show_waiting(found)
    sys.exit(Exit.WRONG if found else Exit.DONE)


@app.command
def show(number: Number, *, json: Json = False) -> None:
    """Show one mapping, what became of it, and which rows of files wait for its code."""
    from cli import mapping

    with ready_database() as url:
        found = run(mapping.read_one(url, number))
    if found is None:
        fail(Exit.WRONG, f"there is no mapping {number}")
    if json:
        print_json(found)
    else:
        mapping.show_one(found)


@app.command
def confirm(numbers: Numbers, *, who: Who, why: Why) -> None:
    """Confirm proposals: all that are named, or none. A provider's needs another person than who proposed it."""
    from cli import mapping, nsi
    from storage import mapping_decisions

    change = nsi.signed(who, why)
    with ready_database() as url:
        refused = run(mapping_decisions.confirm(url, numbers, change))
    mapping.end_decided("confirmed", numbers, refused)


@app.command
def reject(numbers: Numbers, *, who: Who, why: Why) -> None:
    """Reject proposals: all that are named, or none. Their codes go on waiting for another meaning."""
    from cli import mapping, nsi
    from storage import mapping_decisions

    change = nsi.signed(who, why)
    with ready_database() as url:
        refused = run(mapping_decisions.reject(url, numbers, change))
    mapping.end_decided("rejected", numbers, refused)


@app.command
def replace(
    number: Number,
    master_id: Annotated[str, Parameter(help="What the code means: our service, provider or number of a house.")],
    *,
    who: Who,
    why: Why,
    from_: Annotated[
        str, Parameter(name="--from", help="First day of the new meaning, YYYY-MM-DD; today if not given.")
    ] = "",
) -> None:
    """Say what a code means instead. Days before keep what they had; a provider's then waits for a second person."""
    from cli import mapping, nsi
    from storage import mapping_decisions
    from storage.mapping_decisions import Refusal

    try:
        valid_from = datetime.date.fromisoformat(from_) if from_ else nsi.local_today()
    except ValueError:
        fail(Exit.USAGE, "--from is a date: YYYY-MM-DD")
    change = nsi.signed(who, why)
    with ready_database() as url:
        made = run(mapping_decisions.replace(url, number, master_id, valid_from, change))
        if isinstance(made, Refusal):
            fail(Exit.WRONG, made.value)
        found = run(mapping.read_one(url, made))
    mapping.show_one(found)


@app.command
def suggest(*, source: Source = "", who: Who) -> None:
    """Match what waits once more, after the master data have grown. What a key answers for confirms itself."""
    from cli import nsi
    from storage.mapping import suggest_again

    person = nsi.signed(who, "matched again").who
    with ready_database() as url:
        renewed = run(suggest_again(url, source, person))
    out.print(f"{renewed} codes have another suggestion")
