"""`kopeck connection` against a real database: what it changes, tells, refuses; running gateways take it."""

import asyncio
import os
from hashlib import sha256
from pathlib import Path

import asyncpg
import msgspec
import pytest

from actors import run_file
from actors.run_file import RunFile
from actors.settings import Settings
from cli.connection_settings import settings_of
from cli.database import database_for
from cli.demo_connections import make_connections, write_demo_file
from gateways.connections import Connections, Row
from storage.connections import (
    Action,
    Change,
    ConnectionRow,
    change_connections,
    last_changes,
    past_changes,
    read_connections,
)
from tests.cli.conftest import Run
from tests.gateways.json_stage import OPEN, open_door, open_stage, payment

pytestmark = pytest.mark.slow  # A Postgres is started.

ADD = ("connection", "add")
EDIT = ("connection", "edit", "shop", "--why", "letter 5")
ROTATE = ("connection", "rotate-key", "shop", "--why", "a leak")


@pytest.fixture
def key(kopeck: Run) -> str:
    """A connection `shop` is there; the key that was told when it was added."""
    added = kopeck(*ADD, "shop", "--dialect", "json", "--set", 'scopes=["pay", "read"]', "--json")
    assert added.code == 0, added.err
    told: str = added.json["secrets"]["api_key"]
    return told


def stored(database: str) -> list[ConnectionRow]:
    return asyncio.run(read_connections(database))


def actions(database: str) -> list[str]:
    """The trail, the oldest first: who did what."""
    return [f"{past.who} {past.action}" for past in reversed(asyncio.run(past_changes(database, "", 100)))]


async def everything(database: str) -> str:
    """All text that the database holds on connections and their changes."""
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT * FROM connections")
    rows += await connection.fetch("SELECT * FROM connection_changes")
    await connection.close()
    return "\n".join(str(dict(row)) for row in rows)


def test_a_new_connection_is_there_with_the_digest_of_a_key_that_is_told_once(
    kopeck: Run, database: str, key: str
) -> None:
    [row] = stored(database)
    assert (row.connection, row.dialect, row.active, row.version) == ("shop", "json", True, 1)
    digest = sha256(key.encode()).hexdigest()
    assert settings_of(row) == {"source": "shop", "scopes": ["pay", "read"], "api_keys_sha256": [digest]}
    assert actions(database) == ["anna add"]
    assert key not in asyncio.run(everything(database)), "only its digest is kept"
    trail = asyncio.run(past_changes(database, "", 10))
    assert digest not in msgspec.json.encode(trail).decode()
    for asked in (("list",), ("show", "shop"), ("history",)):
        for form in ((), ("--json",)):
            ended = kopeck("connection", *asked, *form)
            assert ended.code == 0
            assert "shop" in ended.out
            assert key not in ended.out + ended.err
            assert digest[:16] not in ended.out + ended.err


def test_a_password_is_told_once_with_its_login(kopeck: Run, database: str) -> None:
    added = kopeck(*ADD, "qiwi", "--dialect", "osmp", "--set", "terms.channel=kiosk", "--who", "boris")
    [row] = stored(database)
    password = added.out.partition("password: ")[2].split()[0]
    assert settings_of(row)["basic_password_sha256"] == sha256(password.encode()).hexdigest()
    assert settings_of(row)["basic_login"] == "qiwi"
    assert actions(database) == ["boris add"]


def test_a_password_that_would_travel_in_the_clear_is_not_made(
    kopeck: Run, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPECK_HOST", "0.0.0.0")
    refused = kopeck(*ADD, "qiwi", "--dialect", "osmp")
    assert (refused.code, "TLS" in refused.err) == (2, True)
    assert stored(database) == []


def test_every_change_leaves_its_trail(kopeck: Run, database: str, key: str) -> None:
    for command in (
        (*EDIT, "--set", "amount_kopecks_max=500000"),
        ROTATE,
        (*ROTATE, "--finish"),
        ("connection", "disable", "shop", "--why", "debts", "--yes"),
        ("connection", "enable", "shop", "--who", "boris"),
    ):
        assert kopeck(*command).code == 0
    assert actions(database) == [
        "anna add",
        "anna edit",
        "anna rotate-key",
        "anna rotate-key",
        "anna disable",
        "boris enable",
    ]
    [row] = stored(database)
    assert (row.active, row.version, settings_of(row)["amount_kopecks_max"]) == (True, 6, 500_000)
    told = kopeck("connection", "history", "shop", "--limit", "2")
    assert "debts" in told.out
    assert "a leak" not in told.out


REFUSED: list[tuple[tuple[str, ...], str]] = [
    ((*EDIT, "--set", "amount=5"), "amount"),
    ((*EDIT, "--set", 'allow_networks=["10.0.0.1/8"]'), "10.0.0.1/8"),
    ((*EDIT, "--set", "scopes"), "name=value"),
    ((*EDIT, "--from", "nowhere.json"), "nowhere.json"),
    ((*EDIT, "--who", "a\nb", "--set", "amount_kopecks_max=5"), "--who"),
    ((*EDIT, "--set", "source=\udcff"), "do not fit"),
    (("connection", "edit", "shop", "--set", "amount_kopecks_max=5"), "--why"),
    (("connection", "disable", "shop", "--yes"), "--why"),
    (("connection", "rotate-key", "shop"), "--why"),
    (("connection", "disable", "shop", "--why", "x"), "--yes"),
    ((*EDIT, "--set", "source=other"), "--yes"),
    ((*ROTATE, "--finish"), "only one"),
    (("connection", "disable", "nobody", "--why", "x", "--yes"), "no connection nobody"),
    (("connection", "show", "nobody"), "no connection nobody"),
    (("connection", "history", "--limit", "0"), "--limit"),
    ((*ADD, "shop", "--dialect", "json"), "already"),
    ((*ADD, "other", "--dialect", "json", "--set", "source=shop"), "--yes"),
    ((*ADD, "other", "--dialect", "fax"), "dialect is one of"),
]


@pytest.mark.usefixtures("key")
def test_what_cannot_be_is_refused_with_a_clear_text_and_changes_nothing(kopeck: Run, database: str) -> None:
    before = stored(database)
    for arguments, what in REFUSED:
        ended = kopeck(*arguments)
        assert ended.code != 0, arguments
        assert what in (ended.out + ended.err), arguments
        assert (stored(database), actions(database)) == (before, ["anna add"]), arguments


def test_an_unreadable_connection_is_listed_with_its_problem_and_can_be_switched_off(
    kopeck: Run, database: str
) -> None:
    row = ConnectionRow("broken", "json", active=True, settings='{"source": "x", "scopes": ["everything"]}')
    broken = Change(row=row, action=Action.ADD, who="x", why="", before=None, after="{}")
    asyncio.run(change_connections(database, [broken]))
    [listed] = kopeck("connection", "list", "--json").json
    assert (listed["source"], "scopes" in listed["problem"]) == ("", True)
    assert "unreadable" in kopeck("connection", "list").out
    assert kopeck("connection", "disable", "broken", "--why", "unreadable", "--yes").code == 0
    assert kopeck("connection", "enable", "broken").code == 2, "it must be repaired first"
    assert kopeck("connection", "edit", "broken", "--why", "x", "--set", 'scopes=["pay"]').code == 0
    assert kopeck("connection", "enable", "broken").code == 0


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(("answer", "code", "active"), [(True, 0, False), (False, 1, True)])
def test_a_person_at_a_terminal_is_asked(
    kopeck: Run, database: str, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int, active: bool
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("rich.prompt.Confirm.ask", lambda *_, **__: answer)
    assert kopeck("connection", "disable", "shop", "--why", "debts").code == code
    assert [row.active for row in stored(database)] == [active]


@pytest.mark.usefixtures("key")
def test_a_dry_run_shows_the_difference_and_writes_nothing(kopeck: Run, database: str) -> None:
    before = stored(database)
    shown = kopeck(*EDIT, "--set", "amount_kopecks_max=500000", "--dry-run")
    assert (shown.code, "amount_kopecks_max: - -> 500000" in shown.out) == (0, True)
    rotated = kopeck(*ROTATE, "--dry-run", "--json")
    assert (rotated.json["is_written"], rotated.json["secrets"]) == (False, {}), "a key that is not valid is not told"
    assert stored(database) == before
    assert actions(database) == ["anna add"]


@pytest.mark.usefixtures("key")
def test_what_changes_nothing_leaves_no_trail(kopeck: Run, database: str) -> None:
    assert "nothing changes" in kopeck(*EDIT, "--set", "source=shop").out
    assert "nothing changes" in kopeck("connection", "enable", "shop").out
    assert actions(database) == ["anna add"]


@pytest.mark.usefixtures("key")
def test_who_was_overtaken_is_told_and_overwrites_nothing(
    kopeck: Run, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = stored(database)
    assert kopeck(*EDIT, "--set", "amount_kopecks_max=500000").code == 0

    async def read_before(_: str) -> list[ConnectionRow]:
        return seen

    monkeypatch.setattr("storage.connections.read_connections", read_before)
    late = kopeck(*EDIT, "--set", "amount_kopecks_max=7")
    assert (late.code, "somebody else" in late.err) == (1, True)
    [row] = stored(database)
    assert settings_of(row)["amount_kopecks_max"] == 500_000


def test_settings_come_from_a_file_and_what_is_set_comes_on_top(kopeck: Run, database: str, tmp_path: Path) -> None:
    file = tmp_path / "terms.json"
    file.write_text('{"amount_kopecks_min": 100, "amount_kopecks_max": 200, "scopes": ["pay"]}')
    ended = kopeck(*ADD, "x", "--dialect", "json", "--from", str(file), "--set", "amount_kopecks_max=300")
    assert ended.code == 0
    [row] = stored(database)
    assert settings_of(row).items() >= {"amount_kopecks_min": 100, "amount_kopecks_max": 300}.items()


@pytest.mark.usefixtures("key")
def test_the_list_tells_terms_and_who_changed_them_last(kopeck: Run) -> None:
    kopeck(*EDIT, "--set", 'allow_networks=["10.0.0.0/8"]', "--set", "amount_kopecks_max=500000", "--who", "boris")
    [listed] = kopeck("connection", "list", "--json").json
    assert (listed["source"], listed["amount_kopecks_max"], listed["allow_networks"]) == (
        "shop",
        500_000,
        ["10.0.0.0/8"],
    )
    assert (listed["changed_by"], listed["problem"]) == ("boris", "")
    shown = kopeck("connection", "list").out.replace("\xa0", " ")
    assert all(text in shown for text in ("shop", "5 000,00 ₽", "10.0.0.0/8", "boris"))


async def _status(rows: list[ConnectionRow], key: str) -> int:
    """Pay at a door whose gateway has just read these connections."""
    async with open_stage() as stage, open_door(stage, signed="") as door:
        stage.connections.replace([])
        body, headers = payment(account=OPEN), {"Authorization": f"Bearer {key}"}
        assert (await door.post("/v1/payments", json=body, headers=headers)).status == 401
        stage.connections.replace(Row(row.connection, row.dialect, row.active, row.settings) for row in rows)
        return (await door.post("/v1/payments", json=body, headers=headers)).status


def test_a_running_gateway_takes_each_change(kopeck: Run, database: str, key: str) -> None:
    assert asyncio.run(_status(stored(database), key)) == 201
    kopeck("connection", "disable", "shop", "--why", "debts", "--yes")
    assert asyncio.run(_status(stored(database), key)) == 401
    kopeck("connection", "enable", "shop")
    kopeck(*EDIT, "--set", "amount_kopecks_max=5")
    assert asyncio.run(_status(stored(database), key)) == 422


def test_an_old_and_a_new_key_are_valid_until_the_rotation_is_finished(kopeck: Run, database: str, key: str) -> None:
    new = kopeck(*ROTATE, "--json").json["secrets"]["api_key"]

    def valid() -> list[bool]:
        in_force = Connections(Row(row.connection, row.dialect, row.active, row.settings) for row in stored(database))
        return [in_force.by_api_key(one) is not None for one in (key, new)]

    assert valid() == [True, True]
    assert kopeck(*ROTATE, "--finish").code == 0
    assert valid() == [False, True]


def test_the_demonstration_leaves_its_trail_once_and_keeps_what_people_changed(
    kopeck: Run, database: str, tmp_path: Path
) -> None:
    demo = asyncio.run(make_connections(database, tmp_path, "http://127.0.0.1:8080"))
    write_demo_file(tmp_path, demo)
    rows = stored(database)
    assert set(actions(database)) == {"demo add"}
    assert kopeck("connection", "edit", "bank", "--why", "x", "--set", "amount_kopecks_max=5").code == 0
    again = asyncio.run(make_connections(database, tmp_path, "http://127.0.0.1:8080"))
    assert (again.api_keys, again.basic) == (demo.api_keys, demo.basic)
    assert len(actions(database)) == len(rows) + 1
    assert asyncio.run(last_changes(database))["bank"].who == "anna"


def test_the_running_systems_database_is_the_one_that_is_changed(tmp_path: Path) -> None:
    run_file.write(tmp_path, RunFile(os.getpid(), "", "postgresql://its.own", "", ""))
    with database_for(Settings(home=tmp_path, database_url="postgresql://another")) as url:
        assert url == "postgresql://its.own"


def test_a_database_of_an_older_schema_is_left_alone(kopeck: Run, database: str) -> None:
    async def forget_the_last_migration() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute(
            "DELETE FROM schema_migrations WHERE number = (SELECT max(number) FROM schema_migrations)"
        )
        await connection.close()

    asyncio.run(forget_the_last_migration())
    ended = kopeck("connection", "list")
    assert (ended.code, "kopeck migrate" in ended.err) == (3, True)
