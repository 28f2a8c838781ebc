"""The protocol that goes back: rows with codes, totals, nothing that a spreadsheet would run."""

import csv
import io

import pytest
from lxml import etree

from intake.faults import Code
from intake.profile import Encoding
from intake.protocol import Protocol, Result, RowResult, csv_lines, safe_for_people, xml_lines

PROTOCOL = Protocol(
    file_name="=cmd|начисления.csv",
    sha256="ab" * 32,
    kind="charges",
    profile="charges-csv@1",
    received_at="2026-11-25T10:00:00+03:00",
)
RESULTS = [
    RowResult(row=2, result=Result.ACCEPTED, account="1"),
    RowResult(row=3, result=Result.WARNED, code=Code.NEGATIVE, text="итог строки отрицателен", account="2"),
    RowResult(row=4, result=Result.REJECTED, code=Code.MONEY, field="accrued_kopecks", text="не сумма", account="=1+1"),
    RowResult(row=5, result=Result.WAITING, code=Code.SERVICE_UNMAPPED, text='<ждёт> "услуги" & прочего', account="4"),
]


def table(encoding: Encoding, **more: bool) -> list[list[str]]:
    content = b"".join(csv_lines(PROTOCOL, RESULTS, encoding, **more))
    text = content.decode("utf-8-sig" if encoding is Encoding.UTF_8 else encoding.value)
    assert text.count("\r\n") == text.count("\n")
    return list(csv.reader(io.StringIO(text), delimiter=";"))


@pytest.mark.parametrize("encoding", [Encoding.UTF_8, Encoding.CP1251])
def test_people_get_faulty_rows_and_totals(encoding: Encoding) -> None:
    rows = table(encoding)
    assert rows[5] == ["строка", "счёт", "результат", "код", "поле", "пояснение"]
    assert [row[0] for row in rows[6:]] == ["3", "4", "5", "итого"]
    assert rows[6] == ["3", "2", "принято с замечанием", "negative", "", "итог строки отрицателен"]
    assert rows[-1] == [
        "итого",
        "принято: 1",
        "принято с замечанием: 1",
        "ждёт сопоставления: 1",
        "отклонено: 1",
    ]


def test_every_row_is_listed_when_asked_for() -> None:
    assert [row[0] for row in table(Encoding.UTF_8, all_rows=True)[6:]] == ["2", "3", "4", "5", "итого"]


def test_a_spreadsheet_is_given_no_formula() -> None:
    rows = table(Encoding.UTF_8)
    assert rows[0][1] == "'=cmd|начисления.csv"
    assert rows[7][1] == "'=1+1"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r1", " =1", "＝1", "＠a"])
def test_what_a_spreadsheet_would_run_is_made_text(text: str) -> None:
    assert safe_for_people(text) == "'" + text


@pytest.mark.parametrize("text", ["", "1", "a=b", "счёт", "1-2"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert safe_for_people(text) == text


def test_a_refused_file_says_why_and_where() -> None:
    refused = Protocol(
        **{name: getattr(PROTOCOL, name) for name in ("file_name", "sha256", "kind", "profile", "received_at")},
        refusal_code=Code.TRAILER_MISMATCH,
        refusal_text="итоги не сходятся",
        refusal_row=9,
    )
    assert "файл отклонён;trailer_mismatch;строка 9;итоги не сходятся" in b"".join(csv_lines(refused, [])).decode()
    root = etree.fromstring(b"".join(xml_lines(refused, [])))
    assert (root.get("refusal_code"), root.get("refusal_row")) == ("trailer_mismatch", "9")


def test_programs_get_the_same_exactly() -> None:
    root = etree.fromstring(b"".join(xml_lines(PROTOCOL, RESULTS)))
    assert root.get("file_name") == "=cmd|начисления.csv"
    assert [(row.get("row"), row.get("result"), row.get("code")) for row in root.findall("Row")] == [
        ("3", "warned", "negative"),
        ("4", "rejected", "money"),
        ("5", "waiting", "service_unmapped"),
    ]
    assert root.findall("Row")[2].get("text") == '<ждёт> "услуги" & прочего'
    assert dict(root.find("Totals").attrib) == {"accepted": "1", "warned": "1", "waiting": "1", "rejected": "1"}
