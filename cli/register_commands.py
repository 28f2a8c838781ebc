"""`kopeck register`, `kopeck case` and `kopeck import register`: registers of agents, and what does not agree."""

import datetime
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import App, Parameter

from cli.console import Exit, fail, out, print_json

T = TypeVar("T")

app = App(name="register", help="Registers of accepted payments and bank statements: what became of them.")
case_app = App(name="case", help="What does not agree and a person must solve.")

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON for scripts.")]
Of = Annotated[str, Parameter(name="--connection", help="The connection whose register it is.")]
Who = Annotated[str, Parameter(help="Who decides; kept for ever.")]
Reason = Annotated[str, Parameter(help="Why; kept for ever.")]


def import_register(
    file: Path,
    *,
    connection: Of,
    profile: Annotated[str, Parameter(help="How the file is written; as the contract says if not given.")] = "",
    date: Annotated[datetime.date | None, Parameter(help="The operating day that it covers.")] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only look through it; nothing is written.")] = False,
    who: Who = "operator",
    json: Json = False,
) -> None:
    """Take a register or a bank statement: check it whole, match it with what came online, credit what is missing.

    The same file again changes nothing and tells the first result. Exit code 1 if it was refused.
    """
    from actors.register_intake import Delivery
    from cli.register_views import show_files, show_survey
    from cli.register_work import take_file, try_file

    if not file.is_file():
        fail(Exit.USAGE, f"there is no file {file}")
    if dry_run:
        found = _asked(lambda url: try_file(url, file, connection, profile))
        if json:
            print_json({"lines": found.lines, "paid_kopecks": found.paid_kopecks, "problem": found.problem()})
        else:
            show_survey(found)
        sys.exit(Exit.WRONG if found.faults_total else Exit.DONE)
    delivery = Delivery(name=file.name, connection=connection, who=who, profile=profile, day=date)
    done, is_new = _worked(lambda settings: take_file(settings, file, delivery))
    if json:
        print_json(done)
    else:
        show_files([done])
        out.print("" if is_new else "this content came before; nothing was done")
        out.print(done.problem, markup=False)
    sys.exit(Exit.WRONG if done.state == "refused" else Exit.DONE)


@app.command(name="list")
def list_(*, connection: Of = "", limit: int = 50, json: Json = False) -> None:
    """Show registers and statements, the newest first."""
    from cli.register_views import show_files
    from cli.register_work import desk_at

    found = _asked(lambda url: desk_at(_settings(), url).page(connection, 0, limit))
    print_json(found) if json else show_files(found)


@app.command
def show(file: int, *, json: Json = False) -> None:
    """Show one register: how its lines ended, or why it was refused."""
    from cli.register_views import show_file
    from cli.register_work import desk_at

    story = _asked(lambda url: desk_at(_settings(), url).find(file))
    if story is None:
        fail(Exit.USAGE, f"there is no register {file}")
    print_json(story) if json else show_file(story)


@app.command
def report(
    *,
    connection: Of,
    date: Annotated[datetime.date | None, Parameter(help="The operating day; yesterday's if not given.")] = None,
    form: Annotated[Literal["table", "json", "csv"], Parameter(name="--format")] = "table",
) -> None:
    """Reconcile an operating day with an agent, to the kopeck. Exit code 1 if it does not agree."""
    from cli.register_views import report_csv, show_report
    from cli.register_work import desk_at

    async def work(url: str) -> Any:
        desk = desk_at(_settings(), url)
        return await desk.report(connection, date or await desk.yesterday(connection))

    found = _asked(work)
    if form == "json":
        print_json(found)
    elif form == "csv":
        sys.stdout.write(report_csv(found))
    else:
        show_report(found)
    sys.exit(Exit.DONE if found.is_equal else Exit.WRONG)


# Cases ---------------------------------------------------------------------------------------------------------------


@case_app.command(name="list")
def list_cases(
    *,
    connection: Of = "",
    kind: str = "",
    all_: Annotated[bool, Parameter(name="--all", negative=(), help="Also those that are closed.")] = False,
    limit: int = 50,
    after: Annotated[int, Parameter(help="Only cases with a higher number.")] = 0,
    json: Json = False,
) -> None:
    """Show cases that wait for a person, the oldest first."""
    from cli.register_views import show_cases
    from storage import cases

    found = _asked(
        lambda url: cases.page(url, after=after, limit=limit, connection_name=connection, kind=kind, open_only=not all_)
    )
    print_json(found) if json else show_cases(found)


@case_app.command(name="show")
def show_case_(number: int, *, json: Json = False) -> None:
    """Show a case: what was done, who paid, which accounts may have been meant. Personal data: for operators."""
    from cli.register_views import show_case
    from cli.register_work import desk_at
    from storage.cases import proposal_of

    story = _asked(lambda url: desk_at(_settings(), url).case(number))
    if story is None:
        fail(Exit.USAGE, f"there is no case {number}")
    today = datetime.datetime.now(tz=datetime.UTC).date()
    print_json(story) if json else show_case(story, proposal_of(story.case, today))


@case_app.command
def resolve(
    number: int,
    decision: Literal["take", "assign", "return", "accept-amount", "explain", "retry"],
    *,
    who: Who,
    reason: Reason,
    account: Annotated[str, Parameter(help="With `assign`: the account that was meant.")] = "",
    json: Json = False,
) -> None:
    """Decide a case. take: it is in work; assign: unidentified money to its account; return: money to the agent;
    accept-amount: the register's amount (a second person confirms); explain: no money moves; retry: a rejected line.
    """
    from cli.register_views import show_cases
    from cli.register_work import decide

    if (decision == "assign") != bool(account):
        fail(Exit.USAGE, "--account goes with assign, and assign with it")
    case = _worked(lambda settings: decide(settings, number, decision, account, who, reason))
    print_json(case) if json else show_cases([case])


# Running -------------------------------------------------------------------------------------------------------------


def _settings() -> Any:
    from cli.main import load_settings

    return load_settings()


def _asked(work: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    """Ask the installation's database something."""
    from cli.database import database_for
    from cli.main import run

    with database_for(_settings()) as url:
        found: T = _told(lambda: run(work(url)))
    return found


def _worked(work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Do something that needs the shards."""
    from cli.main import log_to_terminal, run

    log_to_terminal(verbose=False)
    done: T = _told(lambda: run(work(_settings())))
    return done


def _told(work: Callable[[], T]) -> T:
    """End with what is wrong, if something is."""
    from actors.case_work import Refused
    from actors.profiles import NoSuchProfile
    from actors.register_intake import Interrupted, NoSuchConnection

    try:
        return work()
    except NoSuchConnection as error:
        fail(Exit.USAGE, f"there is no connection {error}")
    except (NoSuchProfile, ValueError, OSError) as error:
        fail(Exit.USAGE, str(error))
    except Refused as error:
        fail(Exit.WRONG, str(error))
    except Interrupted as error:
        fail(Exit.UNAVAILABLE, f"{error}; the same command goes on from there")
