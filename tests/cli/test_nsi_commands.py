"""`kopeck nsi` and `kopeck mapping` as operators use them: files in and out, faults with lines, decisions by name."""

import asyncio
import datetime
from pathlib import Path

import asyncpg
import pytest

from cli import nsi, region, region_master
from engine.master import KINDS
from engine.policy import PolicyCode, SplitPolicy
from intake.master_files import write_records
from intake.policy_files import write_policies
from storage import mapping, reference
from tests.cli.conftest import Run
from tests.engine.test_master import CAP, PROVIDER, SERVICE, TARIFF

SIGNED = ("--who", "anna", "--why", "приказ № 1")
POLICY = SplitPolicy(agreement="other", code=PolicyCode.FIFO, version=1, valid_from=datetime.date(2026, 1, 1))


@pytest.fixture
def services(tmp_path: Path) -> Path:
    path = tmp_path / "services.csv"
    path.write_bytes(write_records("services", [SERVICE]))
    return path


def test_every_kind_goes_out_and_comes_in_unchanged(kopeck: Run, database: str, tmp_path: Path) -> None:
    async def fill() -> None:
        await reference.add_policy(database, region.policy(datetime.date(2026, 1, 1)))
        await region_master.put_master_data(database, 200)

    asyncio.run(fill())
    for kind in (*KINDS, nsi.POLICIES):
        first, second = tmp_path / f"{kind}.1", tmp_path / f"{kind}.2"
        assert kopeck("nsi", "export", kind, str(first)).code == 0
        loaded = kopeck("nsi", "load", kind, str(first), *SIGNED, "--json").json
        assert (loaded["added"], loaded["changed"], loaded["faults"]) == (0, 0, [])
        kopeck("nsi", "export", kind, str(second))
        assert first.read_bytes() == second.read_bytes()


def test_a_dry_run_says_what_would_change_and_changes_nothing(kopeck: Run, services: Path) -> None:
    assert "would be added 1" in kopeck("nsi", "load", "services", str(services), *SIGNED, "--dry-run").out
    assert kopeck("nsi", "list", "services", "--json").json == []
    assert "services: added 1" in kopeck("nsi", "load", "services", str(services), *SIGNED).out
    services.write_bytes(services.read_bytes().replace("Отопление".encode(), "Тепло".encode()))
    planned = kopeck("nsi", "load", "services", str(services), *SIGNED, "--dry-run", "--json").json
    assert (planned["added"], planned["changed"], planned["unchanged"]) == (0, 1, 0)
    assert kopeck("nsi", "list", "services", "--json").json[0]["name"] == "Отопление"


def test_a_faulty_file_is_refused_whole_with_its_lines(kopeck: Run, tmp_path: Path) -> None:
    path = tmp_path / "providers.csv"
    path.write_bytes(write_records("providers", [PROVIDER]) + "P2;Имя;123;770701001;;active;\n".encode())
    ended = kopeck("nsi", "load", "providers", str(path), *SIGNED)
    assert ended.code == 1
    assert "line 3: inn '123' is not one" in ended.err
    assert kopeck("nsi", "list", "providers", "--json").json == []


def test_a_reference_to_nothing_is_told_with_its_line(kopeck: Run, tmp_path: Path) -> None:
    path = tmp_path / "tariffs.csv"
    path.write_bytes(write_records("tariffs", [TARIFF]))
    ended = kopeck("nsi", "load", "tariffs", str(path), *SIGNED)
    assert ended.code == 1
    assert "line 2: service 'HEAT' is not known here" in ended.err
    assert "line 2: provider 'P01' is not known here" in ended.err


def test_the_history_names_who_and_why(kopeck: Run, services: Path) -> None:
    kopeck("nsi", "load", "services", str(services), *SIGNED)
    (change,) = kopeck("nsi", "history", "services", "HEAT", "--json").json
    assert (change["who"], change["why"]) == ("anna", "приказ № 1")
    assert "anna" in kopeck("nsi", "history", "services", "HEAT").out
    assert kopeck("nsi", "history", "services", "NOTHING").code == 1


WRONG = [
    ("nsi", "load", "nothing", "FILE", *SIGNED),
    ("nsi", "load", "services", "FILE"),
    ("nsi", "load", "services", "FILE", "--who", " ", "--why", "x"),
    ("nsi", "load", "services", "FILE", "--who", "anna", "--why", "две\nстроки"),
    ("nsi", "load", "services", "absent.csv", *SIGNED),
    ("nsi", "list", "[/]"),
    ("nsi", "export", "services", "absent/file.csv"),
    ("mapping", "list", "--status", "maybe"),
    ("mapping", "confirm", "1"),
    ("mapping", "replace", "1", "HEAT", "--from", "today", *SIGNED),
]


def test_wrong_arguments_are_told_and_do_nothing(kopeck: Run, services: Path) -> None:
    for arguments in WRONG:
        ended = kopeck(*(str(services) if word == "FILE" else word for word in arguments))
        assert ended.code in (1, 2), arguments
        assert ended.out + ended.err, arguments
    assert kopeck("nsi", "list", "services", "--json").json == []


def test_an_old_schema_is_told_before_anything_is_read(kopeck: Run, database: str) -> None:
    asyncio.run(_drop_all(database))
    ended = kopeck("nsi", "list", "services")
    assert ended.code == 3
    assert "kopeck migrate" in ended.err


async def _drop_all(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


def test_policies_come_as_json_and_a_version_is_never_changed(kopeck: Run, tmp_path: Path) -> None:
    path = tmp_path / "policies.json"
    path.write_bytes(write_policies([POLICY]))
    assert "policies: added 1" in kopeck("nsi", "load", "policies", str(path), *SIGNED).out
    assert "unchanged 1" in kopeck("nsi", "load", "policies", str(path), *SIGNED).out
    path.write_bytes(path.read_bytes().replace(b"fifo", b"proportional"))
    ended = kopeck("nsi", "load", "policies", str(path), *SIGNED)
    assert ended.code == 1
    assert "give the next number" in ended.err
    assert kopeck("nsi", "list", "policies", "--json").json[0]["code"] == "fifo"
    assert [row["who"] for row in kopeck("nsi", "history", "policies", "other/1", "--json").json] == ["anna"]


def test_a_running_system_is_told_of_policies_that_are_kept(
    kopeck: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    async def tell(_: object) -> None:
        told.append(True)

    monkeypatch.setattr(nsi, "tell_the_running", tell)
    path = tmp_path / "policies.json"
    path.write_bytes(write_policies([POLICY]))
    kopeck("nsi", "load", "policies", str(path), *SIGNED, "--dry-run")
    assert told == []
    kopeck("nsi", "load", "policies", str(path), *SIGNED)
    assert told == [True]
    path.write_bytes(b"[{}]")
    kopeck("nsi", "load", "policies", str(path), *SIGNED)
    assert told == [True]


def test_the_cap_of_the_rate_is_watched(
    kopeck: Run, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warned(today: datetime.date) -> bool:
        return bool(asyncio.run(nsi.warnings(database, today)))

    assert not warned(datetime.date(2026, 10, 31))
    assert warned(datetime.date(2026, 11, 1))
    monkeypatch.setattr(nsi, "local_today", lambda: datetime.date(2026, 12, 1))
    assert kopeck("nsi", "check").code == 1
    path = tmp_path / "caps.csv"
    path.write_bytes(write_records("rate_caps", [CAP]))
    assert kopeck("nsi", "load", "rate_caps", str(path), *SIGNED).err == ""
    assert kopeck("nsi", "check").code == 0


def test_a_code_is_mapped_by_two_persons(kopeck: Run, database: str, tmp_path: Path) -> None:
    path = tmp_path / "providers.csv"
    path.write_bytes(write_records("providers", [PROVIDER]))
    kopeck("nsi", "load", "providers", str(path), *SIGNED)
    asyncio.run(mapping.propose(database, "alpha", "provider", [("7", "Тепло [/]"), ("8", "Иное")], "import"))
    assert kopeck("mapping", "waiting").code == 1
    assert "Тепло [/]" in kopeck("mapping", "list", "--source", "alpha").out
    waiting = {row["code"]: row["mapping"] for row in kopeck("mapping", "list", "--json").json}
    assert kopeck("mapping", "confirm", str(waiting["7"]), str(waiting["8"]), *SIGNED).code == 1
    assert kopeck("mapping", "confirm", str(waiting["7"]), *SIGNED).code == 0
    assert kopeck("mapping", "replace", str(waiting["8"]), "P01", *SIGNED).code == 0
    (proposed,) = kopeck("mapping", "list", "--json").json
    refused = kopeck("mapping", "confirm", str(proposed["mapping"]), *SIGNED)
    assert refused.code == 1
    assert "second person" in refused.err
    assert kopeck("mapping", "confirm", str(proposed["mapping"]), "--who", "boris", "--why", "верно").code == 0
    shown = kopeck("mapping", "show", str(proposed["mapping"]), "--json").json
    assert [change["who"] for change in shown["changes"]] == ["anna", "boris"]
    assert kopeck("mapping", "waiting").code == 0
    assert kopeck("mapping", "show", "999").code == 1
    assert kopeck("mapping", "reject", "999", *SIGNED).code == 1
    assert "0 codes" in kopeck("mapping", "suggest", "--who", "anna").out
