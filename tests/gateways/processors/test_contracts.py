"""A processor's connection: what is refused when it is loaded, and what its clock and its listing say."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateways import processors
from gateways.connections import Connection, Connections, Row, read_connection, redacted
from gateways.processors import dialects
from gateways.processors.dialects import all_dialects, secrets_of_all
from gateways.processors.osmp_terms import PRESETS
from gateways.processors.terms import Terms
from tests.gateways.osmp_stage import OPEN, Stage, contract, open_doors, row
from tests.gateways.processors.drivers import DRIVERS, Osmp
from tests.gateways.processors.sending import ask
from tests.gateways.processors.settings import refusal_of

osmp = Osmp()


@pytest.mark.parametrize("name", DRIVERS)
def test_what_anybody_could_use_is_refused(name: str) -> None:
    driver = DRIVERS[name]
    open_to_all = driver.connection(allow_networks=())
    assert bool(refusal_of(open_to_all)) is not driver.is_signed
    unsigned = {"public_key": ""} if name == "cyberplat" else {"password": ""} if name == "bisys" else {}
    if unsigned:
        assert "anybody" in refusal_of(driver.connection(allow_networks=(), terms=unsigned))


@pytest.mark.parametrize(
    ("terms", "fault"),
    [
        ({"dialect": "visa"}, "dialect is one of json, "),
        ({"terms": {"misspelt": 1}}, "misspelt"),
        ({"terms": {"cancel": "yes"}}, "cancel"),
        ({"dialect": "json"}, "no terms"),
        ({"dialect": "bisys"}, "cancel"),
    ],
)
def test_settings_that_are_no_contract_are_refused(terms: dict[str, object], fault: str) -> None:
    assert fault in refusal_of(contract(**({"terms": {"cancel": True}} | terms)))


@pytest.mark.parametrize(
    "terms",
    [
        {"utc_offset_minutes": 900},
        {"cut_off": "25:00:00"},
        {"cut_off": "21:00:00+03:00"},
        {"shown": ["passport"]},
        {"checks_a_minute": 0},
        {"missed_checks_a_minute": 0},
        {"commission": {"mode": "gift", "rate_bp": 1}},
    ],
)
def test_terms_that_cannot_be_are_refused(terms: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        contract(**terms)


def test_a_whole_contract_is_read_from_json() -> None:
    settings = """{"source": "kassa24", "allow_networks": ["10.1.0.0/16"], "shown": ["debt", "name"],
        "commission": {"mode": "withheld", "rate_bp": 150}, "cut_off": "21:00:00", "utc_offset_minutes": 420,
        "keep_if_unknown": true, "terms": {"duplicate_reply": 0}}"""
    connection = read_connection(Row("kassa24", "sber", True, settings))
    assert (connection.name, connection.dialect, connection.terms) == ("kassa24", "sber", {"duplicate_reply": 0})
    assert connection.commission is not None
    assert connection.cut_off == datetime.time(21)


@pytest.mark.parametrize(
    ("cut_off", "local", "day"),
    [
        ("00:00:00", "2026-10-15T23:59:59", 15),
        ("00:00:00", "2026-10-16T00:00:00", 16),
        ("21:00:00", "2026-10-15T20:59:59", 15),
        ("21:00:00", "2026-10-15T21:00:00", 16),
        ("21:00:00", "2026-10-16T00:30:00", 16),
    ],
)
def test_an_operating_day_ends_at_the_cut_off_by_the_contracts_clock(cut_off: str, local: str, day: int) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=7))
    at = datetime.datetime.fromisoformat(local).replace(tzinfo=zone)
    connection = contract(utc_offset_minutes=420, cut_off=cut_off)
    assert connection.operating_day(int(at.timestamp()) * 1_000_000) == datetime.date(2026, 10, day)


def test_secrets_in_clear_are_not_shown() -> None:
    assert secrets_of_all() == {"code", "private_key", "password"}
    shown = redacted({"source": "x", "terms": {"code": "QWERTY", "password": "", "mnt_id": "5"}})
    assert shown == {"source": "x", "terms": {"code": "***", "password": "", "mnt_id": "5"}}
    assert redacted({"source": "x"}) == {"source": "x"}


def test_rows_that_are_as_they_were_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = Connections([row(contract())])
    monkeypatch.setattr("gateways.connections.read_connection", None)
    connections.replace([row(contract())])
    assert connections.version == 1


@pytest.mark.parametrize("preset", PRESETS)
async def test_a_preset_pays_as_its_agent_expects(stage: Stage, preset: str) -> None:
    connection = osmp.connection(terms={"preset": preset})
    renamed = PRESETS[preset].get("txn_element", "osmp_txn_id")
    async with open_doors(stage, connection) as door:
        reply = await (await door.get(osmp.pay("7", OPEN).target)).text()
        assert f"<{renamed}>7</{renamed}>" in reply
        unnumbered = osmp.check(OPEN)._replace(target=f"/osmp?command=check&account={OPEN}")
        code = (await ask(door, osmp, unnumbered)).code
    assert code == ("0" if preset == "sberbank-2" else "300")


def test_a_contracts_own_terms_go_before_its_presets() -> None:
    dialect = all_dialects()["osmp"]
    terms = dialect.read({"preset": "ibox", "txn_element": "id"}, dialect.terms)
    assert msgspec.to_builtins(terms)["txn_element"] == "id"


@pytest.mark.parametrize(
    ("terms", "codes"),
    [
        ({"temporary_code": 17}, {"repeat": "17"}),
        ({"temporary_code": 5}, None),
        ({"not_finished_code": 0}, None),
        ({"temporary_code": 2, "codes": {"5": 2}}, None),
        ({"temporary_code": 5, "codes": {"5": 1}}, None),
    ],
)
async def test_a_code_after_which_the_agent_repeats_is_never_a_fatal_one(
    stage: Stage, terms: dict[str, object], codes: dict[str, str] | None
) -> None:
    connection = osmp.connection(terms=terms)
    if codes is None:
        assert refusal_of(connection)
        return
    async with open_doors(stage, connection) as door:
        stage.disconnect()
        assert (await ask(door, osmp, osmp.pay("7", OPEN))).code == codes["repeat"]


# A new dialect ----------------------------------------------------------------------------------------------------

_ECHO = """
from gateways.processors.desk import Desk
from gateways.processors.dialects import Dialect, terms_of
from gateways.processors.terms import Terms


class EchoDesk(Desk):
    def __init__(self, connection, needs):
        super().__init__(connection, terms_of(connection), needs)
        self.commands = {"say": self._say}

    def read(self, text):
        return {"text": text}

    def command_of(self, fields):
        return "say"

    async def _say(self, fields):
        return "0", fields["text"].encode(), {}


DIALECT = Dialect("echo", Terms, EchoDesk)
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "echo.py").write_text(_ECHO)
    monkeypatch.setattr(processors, "__path__", [*processors.__path__, str(tmp_path)])
    dialects.all_dialects.cache_clear()
    yield
    dialects.all_dialects.cache_clear()


@pytest.mark.usefixtures("planted")
async def test_a_module_with_a_dialect_is_all_that_a_new_one_needs(stage: Stage) -> None:
    connection = Connection(name="e", source=contract().source, dialect="echo", allow_networks=("127.0.0.1",))
    assert all_dialects()["echo"].terms is Terms
    async with open_doors(stage, connection) as door:
        assert await (await door.get("/echo/e?hello")).text() == "hello"
