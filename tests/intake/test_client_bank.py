"""1CClientBankExchange: what is read, and every error with its line."""

import datetime
import io

import pytest

from intake.client_bank import parse
from intake.faults import Code, Finding, Severity
from intake.presets import CLIENT_BANK
from intake.profile import Encoding
from intake.rows import StatementEntry, StatementTotals
from intake.statement import Statement
from tests.intake.files import changed, items_of, refusal

OURS, THEIRS, SECOND = "40821810000000000001", "40702810000000000002", "40821810000000000009"
INCOMING = f"""СекцияДокумент=Платежное поручение
Номер=17
Дата=22.11.2026
Сумма=1970.00
ПлательщикСчет={THEIRS}
Плательщик=ИНН 7700000000 ПАО "БАНК"
ПлательщикИНН=7700000000
Плательщик1=ПАО "БАНК"
ПолучательСчет={OURS}
ДатаПоступило=23.11.2026
ПолучательИНН=7701234567
ВидОплаты=01
Очередность=5
НазначениеПлатежа=Реестр №654321 = 2 платежа; код=A=B
КонецДокумента
"""
OUTGOING = f"""СекцияДокумент=Платежное поручение
Номер=1527
Дата=23.11.2026
Сумма=970
ПлательщикСчет={OURS}
ДатаСписано=23.11.2026
ПолучательСчет={THEIRS}
НазначениеПлатежа1=Перечисление
НазначениеПлатежа2=платежей
КонецДокумента
"""
HEADER = f"""1CClientBankExchange
ВерсияФормата=1.03
Кодировка=Windows
Отправитель=Банк
Получатель=
ДатаСоздания=24.11.2026
ВремяСоздания=09:00:00
ДатаНачала=23.11.2026
ДатаКонца=23.11.2026
РасчСчет={OURS}
"""
SECTION = f"""СекцияРасчСчет
ДатаНачала=23.11.2026
ДатаКонца=23.11.2026
РасчСчет={OURS}
НачальныйОстаток=1000.00
ВсегоПоступило=1970.00
ВсегоСписано=970.00
КонечныйОстаток=2000.00
КонецРасчСчет
"""
FILE = f"{HEADER}{SECTION}{INCOMING}{OUTGOING}КонецФайла\n"


def statement_of(text: str) -> Statement:
    return parse(io.BytesIO(text.replace("\n", "\r\n").encode("cp1251")), CLIENT_BANK).statement


def bytes_of(text: str, encoding: str = "cp1251") -> bytes:
    return text.replace("\n", "\r\n").encode(encoding)


def test_the_date_of_the_bank_and_our_account_say_which_way_money_went() -> None:
    totals, incoming, outgoing = items_of(bytes_of(FILE), CLIENT_BANK)
    day = datetime.date(2026, 11, 23)
    assert incoming == StatementEntry(
        row=20,
        number="17",
        dated_on=datetime.date(2026, 11, 22),
        booked_on=day,
        amount_kopecks=197000,
        our_account=OURS,
        other_account=THEIRS,
        other_name='ПАО "БАНК"',
        other_inn="7700000000",
        purpose="Реестр №654321 = 2 платежа; код=A=B",
    )
    assert isinstance(outgoing, StatementEntry)
    assert (outgoing.amount_kopecks, outgoing.purpose) == (-97000, "Перечисление платежей")
    assert totals == StatementTotals(
        row=11,
        account=OURS,
        from_on=day,
        to_on=day,
        opening_kopecks=100000,
        received_kopecks=197000,
        written_off_kopecks=97000,
        closing_kopecks=200000,
    )


@pytest.mark.parametrize(
    ("written", "told"),
    [("cp1251", "Windows"), ("cp866", "DOS"), ("utf-8", "UTF-8"), ("utf-8", "Windows"), ("utf-8-sig", "DOS")],
)
def test_every_encoding_that_banks_use_is_read_whatever_the_header_says(written: str, told: str) -> None:
    text = FILE.replace("№", "N").replace("Кодировка=Windows", f"Кодировка={told}")
    assert len(items_of(bytes_of(text, written), CLIENT_BANK)) == 3


def test_an_encoding_that_the_profile_does_not_expect_is_refused() -> None:
    assert refusal(bytes_of(FILE), changed(CLIENT_BANK, encoding=Encoding.CP866)).code is Code.ENCODING


def test_money_between_our_own_accounts_is_two_entries() -> None:
    text = FILE.replace(f"РасчСчет={OURS}\n", f"РасчСчет={OURS}\nРасчСчет={SECOND}\n", 1)
    text = text.replace(f"ПлательщикСчет={THEIRS}\n", f"ПлательщикСчет={SECOND}\nДатаСписано=23.11.2026\n")
    found = items_of(bytes_of(text), CLIENT_BANK)
    moved = [(item.our_account, item.amount_kopecks) for item in found if isinstance(item, StatementEntry)]
    assert moved == [(SECOND, -197000), (OURS, 197000), (OURS, -97000)]


def test_our_accounts_may_be_known_from_the_profile_only() -> None:
    text = FILE.replace(f"ДатаКонца=23.11.2026\nРасчСчет={OURS}\nСекция", "ДатаКонца=23.11.2026\nСекция")
    assert not any(isinstance(item, StatementEntry) for item in items_of(bytes_of(text), CLIENT_BANK))
    known = changed(CLIENT_BANK, our_accounts=(OURS,))
    assert sum(isinstance(item, StatementEntry) for item in items_of(bytes_of(text), known)) == 2


def test_a_document_without_the_banks_date_moved_nothing_and_is_told() -> None:
    found = items_of(bytes_of(FILE.replace("ДатаСписано=23.11.2026\n", "")), CLIENT_BANK)
    codes = [item.code for item in found if isinstance(item, Finding)]
    assert codes == [Code.NOT_BOOKED, Code.TURNOVER]


def test_an_unknown_key_is_kept_and_told_with_its_line() -> None:
    text = FILE.replace("Очередность=5\n", "Очередность=5\nКодНазПлатежа=1\n")
    found = items_of(bytes_of(text), CLIENT_BANK)
    assert found[0] == Finding(
        row=33,
        code=Code.UNKNOWN_KEY,
        text="неизвестный ключ «КодНазПлатежа»: сохранён как есть",
        severity=Severity.WARNING,
    )
    assert statement_of(text).documents[0].others["КодНазПлатежа"] == "1"


def test_a_profile_may_let_an_unknown_key_refuse_the_file() -> None:
    strict = changed(CLIENT_BANK, severities={Code.UNKNOWN_KEY: Severity.FILE})
    refused = refusal(bytes_of(FILE.replace("Очередность=5\n", "Очередность=5\nЧужое=1\n")), strict)
    assert (refused.code, refused.row) == (Code.UNKNOWN_KEY, 33)


def test_a_statement_of_an_empty_day_is_a_statement() -> None:
    quiet = SECTION.replace("1970.00", "0.00").replace("970.00", "0").replace("2000.00", "1000.00")
    (totals,) = items_of(bytes_of(f"{HEADER}{quiet}КонецФайла\n"), CLIENT_BANK)
    assert isinstance(totals, StatementTotals)


ERRORS = [
    ("no first line", FILE.replace("1CClientBankExchange\n", ""), Code.STATEMENT_SHAPE, 1),
    ("another first line", FILE.replace("1CClientBankExchange", "1CClientBankExchangeX"), Code.STATEMENT_SHAPE, 1),
    ("no end of the file", FILE.replace("КонецФайла\n", ""), Code.STATEMENT_END, 44),
    ("no end of a document", FILE.replace("B\nКонецДокумента\n", "B\n"), Code.STATEMENT_END, 34),
    ("no end of the last document", FILE.replace("КонецДокумента\nКонецФайла", "КонецФайла"), Code.STATEMENT_END, 44),
    ("no end of a section", FILE.replace("КонецРасчСчет\n", ""), Code.STATEMENT_END, 19),
    ("cut in a document", FILE[: FILE.index("Очередность")], Code.STATEMENT_END, 31),
    ("lines after the end", FILE + "Номер=1\n", Code.STATEMENT_SHAPE, 46),
    ("a key between documents", FILE.replace(OUTGOING, "Номер=1\n" + OUTGOING), Code.STATEMENT_SHAPE, 35),
    ("an end without a beginning", FILE.replace(SECTION, "КонецДокумента\n" + SECTION), Code.STATEMENT_SHAPE, 11),
    ("a key twice", FILE.replace("Номер=17\n", "Номер=17\nНомер=18\n"), Code.STATEMENT_SHAPE, 22),
    ("a header key twice", FILE.replace("ДатаНачала", "ДатаНачала=23.11.2026\nДатаНачала", 1), Code.STATEMENT_SHAPE, 9),
    ("a wrong date", FILE.replace("Дата=22.11.2026", "Дата=2026-11-22"), Code.DATE, 22),
    ("a date that is not", FILE.replace("ДатаПоступило=23.11.2026", "ДатаПоступило=31.11.2026"), Code.DATE, 29),
    ("no date", FILE.replace("Дата=22.11.2026\n", ""), Code.STATEMENT_SHAPE, 20),
    ("no number", FILE.replace("Номер=17\n", ""), Code.STATEMENT_SHAPE, 20),
    ("no amount", FILE.replace("Сумма=1970.00\n", ""), Code.STATEMENT_SHAPE, 20),
    ("a comma in an amount", FILE.replace("Сумма=1970.00", "Сумма=1970,00"), Code.MONEY, 23),
    ("three decimals", FILE.replace("Сумма=1970.00", "Сумма=1970.001"), Code.MONEY_TOO_PRECISE, 23),
    ("a long account", FILE.replace(f"ПолучательСчет={OURS}", f"ПолучательСчет={OURS}0"), Code.TEXT_TOO_LONG, 28),
    ("a long priority", FILE.replace("Очередность=5", "Очередность=555"), Code.TEXT_TOO_LONG, 32),
    ("a long value", FILE.replace("Реестр", "Р" * 3000), Code.TEXT_TOO_LONG, 33),
    ("half a budget", FILE.replace("Очередность=5", "Очередность=5\nСтатусСоставителя=01"), Code.STATEMENT_SHAPE, 33),
    ("a balance that does not hold", FILE.replace("=2000.00", "=2000.01"), Code.STATEMENT_BALANCE, 11),
    ("a section without its account", FILE.replace(f"\nРасчСчет={OURS}\nНач", "\nНач"), Code.STATEMENT_SHAPE, 11),
    ("a NUL", FILE.replace("Реестр", "Ре\0стр"), Code.CONTROL_CHARACTER, 33),
]


@pytest.mark.parametrize(("text", "code", "row"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS])
def test_an_error_refuses_the_file_and_names_its_line(text: str, code: Code, row: int) -> None:
    refused = refusal(bytes_of(text), CLIENT_BANK)
    assert (refused.code, refused.row) == (code, row), refused.text


def test_a_header_without_its_encoding_key_is_refused() -> None:
    assert refusal(bytes_of(FILE.replace("Кодировка=Windows\n", "")), CLIENT_BANK).code is Code.ENCODING
