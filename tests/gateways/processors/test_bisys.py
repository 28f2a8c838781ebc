"""Bisys: XML from a stranger. What is not signed is not read, and nothing that expands gets to the parser."""

from collections.abc import AsyncIterator
from time import perf_counter

import pytest
import pytest_asyncio

from tests.gateways.osmp_stage import OPEN, Stage, open_doors
from tests.gateways.processors.drivers import DATE, Bisys, Sent
from tests.gateways.processors.sending import Client, ask, send

driver = Bisys()
PARAMS = (
    f"<act>2</act><account>{OPEN}</account><pay_amount>100.00</pay_amount><pay_id>7</pay_id><pay_date>{DATE}</pay_date>"
)


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_doors(stage, driver.connection()) as client:
        yield client


def document(params: str = PARAMS, before: str = "<request>", after: str = "</request>", inner: str = "") -> Sent:
    """A document with a right signature, whatever stands around."""
    sign = driver.signature(params.encode())
    return driver.posted(f"{before}<params>{params}</params>{inner}<sign>{sign}</sign>{after}".encode())


BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 10)
)
ATTACKS = {
    "doctype": document(before="<!DOCTYPE request><request>"),
    "doctype in small letters": document(before="<!doctype request><request>"),
    "external entity": document(
        PARAMS.replace("100.00", "&x;"), before='<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]><request>'
    ),
    "a billion laughs": document(PARAMS.replace("100.00", "&a9;"), before=BOMB + "]><request>"),
    "undefined entity": document(PARAMS.replace("100.00", "&x;")),
    "comment before": document(before=f"<!-- <params>{PARAMS}</params> --><request>"),
    "comment inside": document(PARAMS + "<!-- x -->"),
    "character data": document(PARAMS.replace("100.00", "<![CDATA[100.00]]>")),
    "instruction inside": document(PARAMS + "<?x y?>"),
    "second parameters": document(inner=f"<params>{PARAMS.replace('100.00', '1.00')}</params>"),
    "parameters after the signature": document(after="<params><act>1</act></params></request>"),
    "nested": document(PARAMS.replace("100.00", "<a>100.00</a>")),
    "a parameter twice": document(PARAMS + "<pay_amount>1.00</pay_amount>"),
    "unclosed": document(PARAMS + "<x>"),
    "closed too early": document(PARAMS + "</params><params>"),
    "deep": document("<a>" * 3_000 + "</a>" * 3_000),
    "a long value": document(PARAMS.replace("100.00", "1" * 1_000)),
    "attributes on the request": document(before="<request a='1'>"),
    "namespace": document(before='<request xmlns="urn:x">'),
    "no request": document(before="", after=""),
    "unknown encoding": document(before='<?xml version="1.0" encoding="utf-7"?><request>'),
    "another instruction": document(before='<?xml version="1.0" standalone="no"?><request>'),
    "bytes that are not of the encoding": driver.posted(b"<request><params>\xff\x98</params></request>"),
    "wide characters": driver.posted(document().body.decode().encode("utf-16")),  # type: ignore[union-attr]
    "no XML": driver.posted(b"act=2"),
    "empty": driver.posted(b""),
}


@pytest.mark.parametrize("sent", ATTACKS.values(), ids=ATTACKS.keys())
async def test_an_attack_costs_nothing(stage: Stage, door: Client, sent: Sent) -> None:
    answer = await ask(door, driver, sent)
    assert answer.code in ("12", "13")
    assert (await ask(door, driver, document(PARAMS.replace("<pay_id>7", "<pay_id>8")))).code == "0"
    assert stage.credited() == [("8", OPEN, 10_000)]


@pytest.mark.parametrize("padding", [b" " * 60_000, b"<params>" * 7_000, b"</params>" * 6_000, b"<sign>" * 9_000])
async def test_a_long_document_is_refused_at_once(door: Client, padding: bytes) -> None:
    begun = perf_counter()
    for sent in (driver.posted(padding), driver.posted(b"<request>" + padding), driver.posted(padding + b"</request>")):
        assert (await ask(door, driver, sent)).kind == "no"
    assert perf_counter() - begun < 1


async def test_blanks_around_the_elements_are_no_fault(stage: Stage, door: Client) -> None:
    params = "\n  " + PARAMS.replace("><", ">\n  <") + "\n"
    spaced = document(params, before="\n <request>\n ", inner="\n ", after=" </request>\n")
    assert (await ask(door, driver, spaced)).code == "0"
    assert stage.credited() == [("7", OPEN, 10_000)]


async def test_the_signature_is_over_the_bytes_as_sent(stage: Stage, door: Client) -> None:
    sent = document()
    for old, new in ((b"100.00", b"1.00"), (b"<act>2</act>", b"<act>2</act> "), (b"<sign>", b"<sign>0")):
        changed = sent._replace(body=(sent.body or b"").replace(old, new))
        assert (await ask(door, driver, changed)).code in ("12", "13")
    unsigned = sent._replace(body=(sent.body or b"").partition(b"<sign>")[0] + b"</request>")
    assert (await ask(door, driver, unsigned)).code == "13"
    assert stage.credited() == []


async def test_a_contract_without_a_password_signs_nothing(stage: Stage) -> None:
    async with open_doors(stage, driver.connection(terms={"password": ""})) as door:
        body = (await send(door, driver.posted(f"<request><params>{PARAMS}</params></request>".encode())))[1]
    assert b"<err_code>0</err_code>" in body
    assert b"<sign></sign>" in body


@pytest.mark.parametrize(
    ("text", "kopecks"), [("10000", 10_000), ("1", None), ("100.00", None), ("-1", None), ("1e3", None)]
)
async def test_kopecks_are_whole_digits(stage: Stage, text: str, kopecks: int | None) -> None:
    async with open_doors(stage, driver.connection(terms={"unit": "kopecks"})) as door:
        answer = await ask(door, driver, driver.pay("7", OPEN, text))
    assert answer.code == ("0" if kopecks else "29")
    assert stage.credited() == ([("7", OPEN, kopecks)] if kopecks else [])


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("<act>2</act>", "", "11"),
        ("<act>2</act>", "<act>9</act>", "12"),
        (f"<account>{OPEN}</account>", "<account/>", "11"),
        ("<pay_id>7</pay_id>", "", "11"),
        ("<pay_id>7</pay_id>", "<pay_id>x</pay_id>", "29"),
        (DATE, "2026-02-30T00:00:00", "29"),
        (DATE, "2036-10-15T12:00:00", "29"),
    ],
)
async def test_each_fault_has_its_code(stage: Stage, door: Client, old: str, new: str, code: str) -> None:
    assert (await ask(door, driver, driver.signed(PARAMS.replace(old, new)))).code == code
    assert stage.credited() == []


async def test_status_tells_a_payment_and_waits_for_one_that_may_come(door: Client) -> None:
    paid = await ask(door, driver, driver.signed(PARAMS))
    assert await ask(door, driver, driver.signed("<act>4</act><pay_id>7</pay_id>")) == paid
    unknown = "<act>4</act><pay_id>8</pay_id>"
    assert (await ask(door, driver, driver.signed(unknown))).code == "2"
    assert (await ask(door, driver, driver.signed(f"{unknown}<pay_date>2026-10-01T00:00:00</pay_date>"))).code == "29"


async def test_only_xml_is_read(door: Client) -> None:
    status, _ = await send(door, document()._replace(headers={"Content-Type": "application/json"}))
    assert status == 415
