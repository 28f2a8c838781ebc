"""XML: records under their accounts, and twenty documents that attack."""

import io
import time
from collections.abc import Iterator
from typing import Any

import pytest

from intake import xml_table
from intake.faults import Code
from intake.presets import CHARGES_XML
from intake.profile import Encoding, Limits, XmlShape
from intake.reader import read
from intake.rows import ChargeRow, RowFault
from intake.xml_guard import events
from tests.intake.files import changed, code_of, items_of, refusal

CHARGE = '<Charge service="HEAT" provider="7700000000" accrued="2500.16" due="2500.16" unit="Гкал"/>'
DOCUMENT = f'<Charges period="2026-10"><Account number="007">{CHARGE}</Account></Charges>'


def test_a_record_takes_what_stands_above_it() -> None:
    (row,) = items_of(DOCUMENT.encode(), CHARGES_XML)
    assert isinstance(row, ChargeRow)
    assert (row.row, row.account, row.period, row.accrued_kopecks) == (1, "007", 202610, 250016)


@pytest.mark.parametrize("name", ["windows-1251", "cp866", "koi8-r", "utf-8"])
def test_a_document_says_its_own_encoding(name: str) -> None:
    content = f'<?xml version="1.0" encoding="{name}"?>{DOCUMENT}'.encode(name)
    (row,) = items_of(content, CHARGES_XML)
    assert isinstance(row, ChargeRow)
    assert row.unit == "Гкал"


def test_an_encoding_that_the_profile_does_not_expect_is_refused() -> None:
    content = f'<?xml version="1.0" encoding="windows-1251"?>{DOCUMENT}'.encode("cp1251")
    assert code_of(content, changed(CHARGES_XML, encoding=Encoding.UTF_8)) is Code.ENCODING


def test_children_texts_and_namespaces_are_paths_too() -> None:
    profile = changed(
        CHARGES_XML,
        xml=XmlShape(record="Doc/Bill/Line", namespace="urn:bill"),
        columns=tuple(
            changed(column, names=(path,), optional=False)  # type: ignore[arg-type]  # any struct
            for column, path in zip(
                CHARGES_XML.columns[:5],
                ("../Head/Month", "../Head/@ls", "Service/@code", "Service/Provider", "Sum"),
                strict=True,
            )
        ),
    )
    content = """<d:Doc xmlns:d="urn:bill"><d:Bill><d:Head ls="007"><d:Month>2026-10</d:Month></d:Head>
        <d:Line><d:Service code="HEAT"><d:Provider>7700000000</d:Provider></d:Service><d:Sum> 1.00 </d:Sum></d:Line>
        </d:Bill></d:Doc>"""
    (row,) = items_of(content.encode(), profile)
    assert isinstance(row, ChargeRow)
    assert (row.account, row.service, row.provider, row.accrued_kopecks) == ("007", "HEAT", "7700000000", 100)


def test_a_bad_record_leaves_its_neighbours_alone() -> None:
    bad = CHARGE.replace("2500.16", "2500,16", 1)
    found = items_of(DOCUMENT.replace(CHARGE, CHARGE + bad + CHARGE).encode(), CHARGES_XML)
    assert [(item.row, type(item)) for item in found if isinstance(item, ChargeRow | RowFault)] == [
        (1, ChargeRow),
        (2, RowFault),
        (3, ChargeRow),
    ]


def test_a_misspelt_attribute_refuses_the_document() -> None:
    assert code_of(DOCUMENT.replace("accrued", "acrued").encode(), CHARGES_XML) is Code.UNKNOWN_COLUMN
    assert code_of(DOCUMENT.replace('"/>', '"><Odd/></Charge>').encode(), CHARGES_XML) is Code.UNKNOWN_COLUMN


def test_what_is_read_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree behind the reader holds one account, and what lxml has read ahead: 32 KiB of text, some 400 elements."""
    roots: list[Any] = []

    def watched(*arguments: Any) -> Iterator[tuple[str, Any]]:
        for event, element in events(*arguments):
            roots.extend([element] if not roots else [])
            yield event, element

    monkeypatch.setattr(xml_table, "events", watched)
    head, tail = DOCUMENT.split(CHARGE)
    content = (head + f'</Account><Account number="8">{CHARGE * 7}' * 1000 + tail).encode()
    sizes = [sum(1 for _ in roots[0].iter()) for _ in read(io.BytesIO(content), CHARGES_XML)]
    assert len(sizes) == 7000
    assert max(sizes) < 1000


def test_nesting_has_a_limit_of_its_own() -> None:
    profile = changed(CHARGES_XML, ignored=("*",), limits=Limits(xml_depth_max=8))
    nested = DOCUMENT.replace('"/>', '">' + "<a>" * 5 + "</a>" * 5 + "</Charge>")
    assert len(items_of(nested.encode(), profile)) == 1
    assert code_of(nested.replace("<a>", "<a><a>", 1).replace("</a>", "</a></a>", 1).encode(), profile) is (
        Code.XML_FORBIDDEN
    )


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
ATTACKS = {
    "billion laughs": f'<!DOCTYPE Charges [<!ENTITY l0 "ха">{LAUGHS}]>' + DOCUMENT.replace("Гкал", "&l9;"),
    "quadratic blow-up": f'<!DOCTYPE Charges [<!ENTITY a "{"a" * 50_000}">]>' + DOCUMENT.replace("Гкал", "&a;" * 5_000),
    "external entity": '<!DOCTYPE Charges [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + DOCUMENT.replace("Гкал", "&x;"),
    "external entity over the network": '<!DOCTYPE C [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>' + DOCUMENT,
    "external DTD": '<!DOCTYPE Charges SYSTEM "http://127.0.0.1:9/x.dtd">' + DOCUMENT,
    "public DTD": '<!DOCTYPE Charges PUBLIC "-//X//X" "http://127.0.0.1:9/x.dtd">' + DOCUMENT,
    "bare DOCTYPE": "<!DOCTYPE Charges>" + DOCUMENT,
    "parameter entity": '<!DOCTYPE C [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>' + DOCUMENT,
    "reference to nothing": DOCUMENT.replace("Гкал", "&lol;"),
    "DOCTYPE behind comments": "<!-- a --><?pi x?><!DOCTYPE Charges [<!ENTITY a 'b'>]>" + DOCUMENT,
    "deep nesting": "<Charges>" * 10_000,
    "deep nesting under a record": DOCUMENT.replace('"/>', '">' + "<a>" * 10_000),
    "huge text": DOCUMENT.replace("Гкал", "x" * 11_000_000),
    "huge name": f"<{'n' * 1_000_000}/>",
    "wide beside the records": "<Charges>" + "<Odd/>" * 200_000 + "</Charges>",
    "cut short": DOCUMENT[:-10],
    "two roots": DOCUMENT * 2,
    "unclosed attribute": DOCUMENT.replace('"HEAT"', '"HEAT'),
    "not XML": "ACCOUNT;PERIOD",
    "nothing": "",
    "NUL": DOCUMENT.replace("HEAT", "HE\0T"),
    "wrong encoding name": f'<?xml version="1.0" encoding="x-user-defined"?>{DOCUMENT}',
    "many attributes": DOCUMENT.replace("unit=", " ".join(f'a{n}="1"' for n in range(50_000)) + " unit="),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_quickly(name: str) -> None:
    content = ATTACKS[name].encode()
    began = time.monotonic()
    refused = refusal(content, CHARGES_XML)
    assert refused.code in (Code.XML_FORBIDDEN, Code.XML_SYNTAX, Code.UNKNOWN_COLUMN, Code.ENCODING)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("name", [name for name in ATTACKS if "entity" in name or "DTD" in name or "DOCTYPE" in name])
def test_entities_and_doctypes_are_refused_as_such(name: str) -> None:
    assert code_of(ATTACKS[name].encode(), CHARGES_XML) is Code.XML_FORBIDDEN


def test_utf_16_and_utf_32_are_refused() -> None:
    assert code_of(DOCUMENT.encode("utf-16"), CHARGES_XML) is Code.ENCODING
    assert code_of(("<!DOCTYPE Charges>" + DOCUMENT).encode("utf-32"), CHARGES_XML) is Code.ENCODING


def test_comments_and_instructions_are_no_content() -> None:
    content = DOCUMENT.replace(CHARGE, f"<!-- {CHARGE} --><?x y?>{CHARGE}").encode()
    assert len(items_of(content, CHARGES_XML)) == 1
