"""CyberPlat: what its signature covers, its own codes, and the life of a payment that is cancelled."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, PublicFormat

from gateways.connections import Connection, redacted
from gateways.processors import contract as contract_module
from tests.gateways.osmp_stage import NOW_US, OPEN, Stage, open_doors, row
from tests.gateways.processors.drivers import DATE, Cyberplat, Sent
from tests.gateways.processors.keys import KEY, PRIVATE_PEM, PUBLIC_PEM
from tests.gateways.processors.sending import Client, ask, send
from tests.gateways.processors.settings import refusal_of

driver = Cyberplat()
PAY = f"action=payment&number={OPEN}&type=1&amount=100.00&receipt=7&date={DATE}"
HOUR_US = 3600 * 1_000_000


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_doors(stage, driver.connection()) as client:
        yield client


async def code_of(door: Client, query: str) -> str:
    """Sign a query, send it, return the code of the reply."""
    return (await ask(door, driver, driver.signed(query))).code


# What is signed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["%20", "+"])
@pytest.mark.parametrize("letter", ["%d1%d7", "%D1%D7"])
async def test_the_signature_is_over_the_bytes_as_sent(stage: Stage, door: Client, blank: str, letter: str) -> None:
    query = PAY.replace(f"number={OPEN}", f"number={blank}{OPEN}{blank}") + f"&additional={letter}{blank}x"
    assert await code_of(door, query) == "0"
    assert stage.credited() == [("7", OPEN, 10_000)]


@pytest.mark.parametrize(
    "change",
    [
        lambda target: target.replace("amount=100.00", "amount=1.00"),
        lambda target: target.replace("type=1&amount=100.00", "amount=100.00&type=1"),
        lambda target: target.replace("%2E", "."),
        lambda target: target.replace("&sign=", "&sign=00"),
        lambda target: target.replace("&sign=", "&sign=zz"),
        lambda target: target.partition("&sign=")[0],
        lambda target: target.partition("&sign=")[0] + "&sign=",
        lambda target: target + "&receipt=8",
        lambda target: target.replace("action=", "Action="),
    ],
    ids=["amount", "order", "escape", "longer", "no hex", "none", "empty", "after it", "name"],
)
async def test_what_was_changed_on_the_way_pays_nothing(
    stage: Stage, door: Client, change: Callable[[str], str]
) -> None:
    sent = driver.signed(PAY.replace("100.00", "100%2E00") if change("%2E") == "." else PAY)
    answer = await ask(door, driver, sent._replace(target=change(sent.target)))
    assert answer.code == "-4"
    assert stage.credited() == []


async def test_what_stands_before_the_signed_part_is_not_read(stage: Stage, door: Client) -> None:
    sent = driver.signed(PAY)
    smuggled = sent._replace(target=sent.target.replace("?", "?amount=1.00&number=1&receipt=9&"))
    assert (await ask(door, driver, smuggled)).code == "0"
    assert stage.credited() == [("7", OPEN, 10_000)]


async def test_a_signature_by_another_key_is_refused(stage: Stage, door: Client) -> None:
    other = rsa.generate_private_key(65537, 2048)
    signature = other.sign(PAY.encode(), PKCS1v15(), hashes.SHA1()).hex()
    assert (await ask(door, driver, Sent("GET", f"/cyberplat?{PAY}&sign={signature}"))).code == "-4"
    assert stage.credited() == []


async def test_the_hash_is_the_contracts(stage: Stage) -> None:
    signature = KEY.sign(PAY.encode(), PKCS1v15(), hashes.SHA256()).hex()
    async with open_doors(stage, driver.connection(terms={"hash": "sha256", "private_key": ""})) as door:
        status, body = await send(door, Sent("GET", f"/cyberplat?{PAY}&sign={signature}"))
        assert b"<code>0</code>" in body
        assert b"<code>-4</code>" in (await send(door, driver.signed(PAY)))[1]
    assert status == 200
    assert len(stage.credited()) == 1


async def test_a_contract_without_keys_signs_nothing(stage: Stage) -> None:
    async with open_doors(stage, driver.connection(terms={"public_key": "", "private_key": ""})) as door:
        body = (await send(door, Sent("GET", f"/cyberplat?{PAY}")))[1]
    assert b"<code>0</code>" in body
    assert b"<sign>" not in body


# Codes ------------------------------------------------------------------------------------------------------------

TABLE = {
    "unknown action": ("action=refund&receipt=7", "1"),
    "no action": ("action=", "1"),
    "wrong type": (PAY.replace("type=1", "type=9"), "-2"),
    "wrong type before wrong amount": (PAY.replace("type=1&amount=100.00", "type=9&amount=x"), "-2"),
    "wrong amount before wrong receipt": (PAY.replace("100.00", "x").replace("receipt=7", "receipt=x"), "3"),
    "wrong receipt before wrong date": (PAY.replace("receipt=7", "receipt=x").replace("2026", "x"), "4"),
    "wrong date before no number": (PAY.replace("2026", "x").replace(OPEN, ""), "5"),
    "no number": (PAY.replace(OPEN, ""), "1"),
    "no amount": (PAY.replace("amount=100.00&", ""), "3"),
    "no receipt": (PAY.replace("&receipt=7", ""), "4"),
    "receipt of 21 digits": (PAY.replace("receipt=7", "receipt=" + "7" * 21), "4"),
    "no such day": (PAY.replace("2026-10-15", "2026-02-30"), "5"),
    "no such hour": (PAY.replace("T12", "T24"), "5"),
    "future": (PAY.replace("2026", "2036"), "5"),
    "a parameter twice": (PAY + "&amount=100.00", "1"),
    "number not in cp1251": (PAY.replace(OPEN, "%98"), "2"),
    "status without a receipt": ("action=status", "4"),
    "cancel without mes": ("action=cancel&receipt=7", "11"),
    "noise": ("action=payment&&&=&==", "1"),
}


@pytest.mark.parametrize(("query", "code"), TABLE.values(), ids=TABLE.keys())
async def test_each_fault_has_its_code_in_the_usual_order(stage: Stage, door: Client, query: str, code: str) -> None:
    assert await code_of(door, query) == code
    assert await code_of(door, PAY.replace("receipt=7", "receipt=8")) == "0"
    assert stage.credited() == [("8", OPEN, 10_000)]


async def test_additional_has_the_contracts_form(stage: Stage) -> None:
    async with open_doors(stage, driver.connection(terms={"additional_pattern": r"\d{6}"})) as door:
        assert await code_of(door, PAY) == "-1"
        assert await code_of(door, PAY + "&additional=202610") == "0"


async def test_a_contract_may_call_a_temporary_trouble_eleven(stage: Stage) -> None:
    async with open_doors(stage, driver.connection(terms={"temporary_code": 11})) as door:
        stage.disconnect()
        assert await code_of(door, PAY) == "11"


# Status and cancel ------------------------------------------------------------------------------------------------


async def test_status_tells_the_number_and_date_of_the_payment(door: Client) -> None:
    paid = (await send(door, driver.signed(PAY)))[1]
    asked = (await send(door, driver.signed("action=status&receipt=7")))[1]
    assert asked == paid


async def test_a_payment_that_we_do_not_know_is_denied_only_when_it_cannot_still_come(
    stage: Stage, door: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await code_of(door, "action=status&receipt=404") == "8"
    monkeypatch.setattr(contract_module, "now_us", lambda: NOW_US + HOUR_US - 1)
    assert await code_of(door, "action=status&receipt=404") == "8"
    monkeypatch.setattr(contract_module, "now_us", lambda: NOW_US + HOUR_US + 1)
    assert await code_of(door, "action=status&receipt=404") == "6"
    assert await code_of(door, "action=status&receipt=405") == "8", "asked after for the first time"


async def test_a_cancelled_payment_is_never_credited_again(stage: Stage, door: Client) -> None:
    await code_of(door, PAY)
    assert await code_of(door, "action=cancel&receipt=7&mes=1") == "0"
    assert await code_of(door, "action=cancel&receipt=7&mes=2") == "0", "a done cancel, repeated"
    assert await code_of(door, "action=status&receipt=7") == "7"
    assert await code_of(door, PAY) == "7"
    assert [kopecks for _, _, kopecks in stage.credited()] == [10_000, -10_000]


async def test_a_cancel_needs_a_contract(stage: Stage) -> None:
    async with open_doors(stage, driver.connection(terms={"cancel": False})) as door:
        await code_of(door, PAY)
        assert await code_of(door, "action=cancel&receipt=7&mes=1") == "9"
    assert len(stage.credited()) == 1


# The contract -----------------------------------------------------------------------------------------------------

_EC = ec.generate_private_key(ec.SECP256R1())
_LOCKED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()


@pytest.mark.parametrize(
    "terms",
    [
        {"public_key": "x"},
        {"private_key": "x"},
        {"public_key": PRIVATE_PEM},
        {"private_key": _LOCKED},
        {"public_key": _EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()},
        {"hash": "crc32"},
        {"encoding": "koi8-r"},
        {"temporary_code": 0},
        {"additional_pattern": "("},
    ],
)
def test_terms_that_break_the_protocol_are_refused_when_loaded(terms: dict[str, object]) -> None:
    assert refusal_of(driver.connection(terms=terms))


def test_our_private_key_is_not_shown() -> None:
    connection: Connection = driver.connection()
    shown = redacted({"source": "x", "terms": connection.terms})
    assert shown == {"source": "x", "terms": {**connection.terms, "private_key": "***"}}
    assert shown["terms"]["public_key"] == PUBLIC_PEM
    assert PRIVATE_PEM in row(connection).settings.replace("\\n", "\n"), "what is kept is not touched"
