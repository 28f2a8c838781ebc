"""1CClientBankExchange, read by a parser of our own: a bank's statement as entries on our accounts.

Theory of operation. The file is lines `Key=Value` in three levels: the header, sections `СекцияРасчСчет` ..
`КонецРасчСчет` and `СекцияДокумент` .. `КонецДокумента`, and `КонецФайла`. A line is split at its first `=`, for
purposes contain more of them. What breaks the structure, a date, an amount or the length of a value refuses the file
and names the line: a statement is taken whole or not at all. A key that nobody knows is kept with its document and told
as a finding.

The encoding is found before anything is read: `Кодировка=` is looked for in the first bytes as each encoding writes it,
so that a file which says DOS and is written in UTF-8, as some banks do, is read as what it is.

Which way money went: the bank's date decides. `ДатаСписано` and a payer's account of ours: out. `ДатаПоступило` and a
payee's account of ours: in. Both, between our own accounts: two entries. Neither: a document that moved nothing yet.
"""

import datetime
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, NoReturn

import msgspec

from engine.money import format_roubles
from intake import fields
from intake.faults import Code, FieldFault, FileRefused, Finding, Severity
from intake.profile import DecimalMark, Encoding, Profile, Rounding
from intake.rows import Item, StatementEntry, StatementTotals
from intake.statement import (
    BUDGET_KEYS,
    BUDGET_STATUS,
    HEADER_KEYS,
    OTHER_KEYS,
    PARTY_KEYS,
    SECTION_KEYS,
    AccountSection,
    Document,
    Party,
    Statement,
)
from intake.text import lines

_FIRST_LINE = "1CClientBankExchange"
_FILE_END = "КонецФайла"
_SECTION, _SECTION_END = "СекцияРасчСчет", "КонецРасчСчет"
_DOCUMENT, _DOCUMENT_END = "СекцияДокумент", "КонецДокумента"
_HEAD_BYTES = 4096
_VALUE_CHARS_MAX = 2048
_DOCUMENTS_MAX = 1_000_000
_CANDIDATES = (Encoding.CP1251, Encoding.CP866, Encoding.UTF_8)

_amount = fields.money(DecimalMark.POINT, "", Rounding.REFUSE)
_date = fields.date(("%d.%m.%Y",))


class _Line(NamedTuple):
    number: int
    key: str
    value: str


class _Block(NamedTuple):
    """A section or a document as its lines say it, before anything is understood."""

    row: int
    title: str
    values: dict[str, str]
    places: dict[str, int]


class Parsed(NamedTuple):
    """A statement, and what is odd about it."""

    statement: Statement
    findings: list[Finding]


def items(stream: BinaryIO, profile: Profile) -> Iterator[Item]:
    """Read a statement as entries, totals of our accounts, and findings. Errors: `FileRefused` names the line."""
    parsed = parse(stream, profile)
    for finding in parsed.findings:
        yield _weighed(finding, profile)
    yield from (_totals(section) for section in parsed.statement.sections)
    ours = frozenset(parsed.statement.accounts) | frozenset(profile.our_accounts)
    moved = dict.fromkeys(ours, (0, 0))
    for document in parsed.statement.documents:
        entries = list(entries_of(document, ours))
        yield from entries
        for entry in entries:
            received, written_off = moved[entry.our_account]
            amount = entry.amount_kopecks
            moved[entry.our_account] = (received + max(amount, 0), written_off - min(amount, 0))
        if not entries:
            text = "документ не движет денег по нашим счетам: нет даты банка или чужие счета"
            yield _weighed(_warning(document.row, Code.NOT_BOOKED, text), profile)
    yield from (_weighed(finding, profile) for finding in _turnover(parsed.statement, moved))


def _weighed(finding: Finding, profile: Profile) -> Finding:
    """Give a finding the profile's severity. Errors: `FileRefused` when that is to stop the file."""
    severity = profile.severities.get(finding.code, finding.severity)
    if severity is Severity.FILE:
        raise FileRefused(finding.code, finding.text, finding.row)
    return msgspec.structs.replace(finding, severity=severity)


def _warning(row: int, code: Code, text: str) -> Finding:
    return Finding(row=row, code=code, text=text, severity=Severity.WARNING)


def entries_of(document: Document, ours: frozenset[str]) -> Iterator[StatementEntry]:
    """Return what a document did to our accounts: nothing, one entry, or two between our own."""
    payer, payee = document.payer, document.payee
    if document.written_off_on is not None and payer.accounts & ours:
        yield _entry(document, document.written_off_on, -document.amount_kopecks, payer.accounts & ours, payee)
    if document.received_on is not None and payee.accounts & ours:
        yield _entry(document, document.received_on, document.amount_kopecks, payee.accounts & ours, payer)


def _entry(
    document: Document, booked_on: datetime.date, kopecks: int, ours: frozenset[str], other: Party
) -> StatementEntry:
    return StatementEntry(
        row=document.row,
        number=document.number,
        dated_on=document.dated_on,
        booked_on=booked_on,
        amount_kopecks=kopecks,
        our_account=min(ours),
        other_account=other.account or other.settlement_account,
        other_name=other.name or other.title,
        other_inn=other.inn,
        purpose=document.purpose,
    )


def _totals(section: AccountSection) -> StatementTotals:
    return StatementTotals(**{name: getattr(section, name) for name in StatementTotals.__struct_fields__})


def _turnover(statement: Statement, moved: dict[str, tuple[int, int]]) -> Iterator[Finding]:
    """Sections whose turnover is not that of the documents: the file may have been filtered by kind."""
    for account in dict.fromkeys(section.account for section in statement.sections):
        own = [section for section in statement.sections if section.account == account]
        told = (sum(one.received_kopecks for one in own), sum(one.written_off_kopecks for one in own))
        if told != moved.get(account, (0, 0)):
            text = "обороты секции счёта не равны сумме документов по нему"
            yield _warning(own[0].row, Code.TURNOVER, text)


def parse(stream: BinaryIO, profile: Profile) -> Parsed:
    """Read a file of the format. Errors: `FileRefused` names the line."""
    encoding = _encoding(stream.read(_HEAD_BYTES), profile.encoding)
    stream.seek(0)
    found = _numbered(lines(stream, encoding, profile.limits.row_chars_max))
    first = next(found, None)
    if first is None or first.key != _FIRST_LINE:
        raise FileRefused(Code.STATEMENT_SHAPE, f"файл не начинается с {_FIRST_LINE}", 1)
    return _Parser().run(found)


def _encoding(head: bytes, declared: Encoding | None) -> Encoding:
    """What the header's own key is written in. Errors: `FileRefused` when that is nothing we know, or not as told."""
    if not head.removeprefix(b"\xef\xbb\xbf").startswith(_FIRST_LINE.encode()):
        raise FileRefused(Code.STATEMENT_SHAPE, f"файл не начинается с {_FIRST_LINE}", 1)
    found = next((one for one in _CANDIDATES if "\nКодировка=".encode(one.value) in head), None)
    if found is None:
        raise FileRefused(Code.ENCODING, "ключ «Кодировка» не найден ни в windows-1251, ни в DOS, ни в UTF-8", 2)
    if declared is not None and declared is not found:
        raise FileRefused(Code.ENCODING, f"файл в {found.value}, а профиль говорит {declared.value}", 1)
    return found


def _numbered(text: Iterator[str]) -> Iterator[_Line]:
    for number, line in enumerate(text, start=1):
        key, _, value = line.strip("\r\n").partition("=")
        if len(value) > _VALUE_CHARS_MAX:
            raise FileRefused(Code.TEXT_TOO_LONG, f"значение длиннее {_VALUE_CHARS_MAX} знаков", number)
        if key.strip():
            yield _Line(number, key.strip(), value.strip())


class _Parser:
    """Walks over the lines once; knows which level it is on."""

    def __init__(self) -> None:
        self._header: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._accounts: list[str] = []
        self._filters: list[str] = []
        self._sections: list[AccountSection] = []
        self._documents: list[Document] = []
        self._findings: list[Finding] = []
        self._last = 1

    def run(self, found: Iterator[_Line]) -> Parsed:
        for line in found:
            if line.key == _FILE_END:
                self._refuse_more(found)
                return Parsed(self._statement(), self._findings)
            self._take(line, found)
        raise FileRefused(Code.STATEMENT_END, f"нет «{_FILE_END}»: файл оборван", self._last)

    def _take(self, line: _Line, found: Iterator[_Line]) -> None:
        self._last = line.number
        if line.key == _SECTION:
            self._sections.append(_section(self._block(line, found, _SECTION_END)))
        elif line.key == _DOCUMENT:
            self._documents.append(self._document(self._block(line, found, _DOCUMENT_END)))
            if len(self._documents) > _DOCUMENTS_MAX:
                raise FileRefused(Code.TOO_MANY_ROWS, f"документов больше {_DOCUMENTS_MAX}", line.number)
        elif self._documents or line.key in (_SECTION_END, _DOCUMENT_END):
            raise FileRefused(Code.STATEMENT_SHAPE, f"«{line.key[:40]}» вне секции", line.number)
        else:
            self._take_header(line)

    def _take_header(self, line: _Line) -> None:
        if line.key in ("РасчСчет", "Документ"):
            (self._accounts if line.key == "РасчСчет" else self._filters).append(line.value)
            return
        if line.key in self._header:
            raise FileRefused(Code.STATEMENT_SHAPE, f"ключ «{line.key}» дважды", line.number)
        if line.key not in HEADER_KEYS:
            self._findings.append(_unknown(line))
        self._header[line.key] = line.value
        self._places[line.key] = line.number

    def _block(self, opening: _Line, found: Iterator[_Line], end: str) -> _Block:
        """Gather the lines of a section or a document."""
        block = _Block(opening.number, opening.value, {}, {})
        for line in found:
            self._last = line.number
            if line.key == end:
                return block
            if line.key in (_SECTION, _DOCUMENT, _SECTION_END, _DOCUMENT_END, _FILE_END):
                raise FileRefused(Code.STATEMENT_END, f"нет «{end}» к строке {opening.number}", line.number)
            if line.key in block.values:
                raise FileRefused(Code.STATEMENT_SHAPE, f"ключ «{line.key[:40]}» дважды", line.number)
            if end == _SECTION_END and line.key not in SECTION_KEYS:
                self._findings.append(_unknown(line))
            block.values[line.key] = line.value
            block.places[line.key] = line.number
        raise FileRefused(Code.STATEMENT_END, f"нет «{end}» к строке {opening.number}", self._last)

    def _document(self, block: _Block) -> Document:
        others = dict(block.values)
        taken = {name: others.pop(name, "") for name in ("Номер", "Дата", "Сумма", "ДатаСписано", "ДатаПоступило")}
        purpose = others.pop("НазначениеПлатежа", "") or _purpose_of_parts(others)
        parties = {name: _party(block, others, name) for name in ("Плательщик", "Получатель")}
        self._findings += [_unknown(_Line(block.places[key], key, "")) for key in others if key not in OTHER_KEYS]
        _check_lengths(block, others)
        _check_budget(block, others)
        if not taken["Номер"]:
            raise FileRefused(Code.STATEMENT_SHAPE, "у документа нет номера", block.places.get("Номер", block.row))
        return Document(
            row=block.row,
            kind=block.title,
            number=taken["Номер"],
            dated_on=_needed_date(block, "Дата"),
            amount_kopecks=_money(block, "Сумма"),
            payer=parties["Плательщик"],
            payee=parties["Получатель"],
            written_off_on=_optional_date(block, "ДатаСписано"),
            received_on=_optional_date(block, "ДатаПоступило"),
            purpose=purpose,
            others=others,
        )

    def _refuse_more(self, found: Iterator[_Line]) -> None:
        line = next(found, None)
        if line is not None:
            raise FileRefused(Code.STATEMENT_SHAPE, f"после «{_FILE_END}» есть ещё строки", line.number)

    def _statement(self) -> Statement:
        block = _Block(1, "", self._header, self._places)
        return Statement(
            version=self._header.get("ВерсияФормата", ""),
            encoding=self._header.get("Кодировка", ""),
            sender=self._header.get("Отправитель", ""),
            receiver=self._header.get("Получатель", ""),
            created_on=_optional_date(block, "ДатаСоздания"),
            created_at=self._header.get("ВремяСоздания", ""),
            from_on=_optional_date(block, "ДатаНачала"),
            to_on=_optional_date(block, "ДатаКонца"),
            accounts=tuple(self._accounts),
            filters=tuple(self._filters),
            header={key: value for key, value in self._header.items() if key not in HEADER_KEYS},
            sections=tuple(self._sections),
            documents=tuple(self._documents),
        )


def _unknown(line: _Line) -> Finding:
    return _warning(line.number, Code.UNKNOWN_KEY, f"неизвестный ключ «{line.key[:40]}»: сохранён как есть")


def _section(block: _Block) -> AccountSection:
    """Understand an account's section. Errors: `FileRefused` when its balance does not hold."""
    if "РасчСчет" not in block.values:
        raise FileRefused(Code.STATEMENT_SHAPE, "в секции счёта нет счёта", block.row)
    from_on = _needed_date(block, "ДатаНачала")
    section = AccountSection(
        row=block.row,
        account=block.values["РасчСчет"],
        from_on=from_on,
        to_on=_optional_date(block, "ДатаКонца") or from_on,
        opening_kopecks=_money(block, "НачальныйОстаток"),
        received_kopecks=_money(block, "ВсегоПоступило", absent=0),
        written_off_kopecks=_money(block, "ВсегоСписано", absent=0),
        closing_kopecks=_money(block, "КонечныйОстаток"),
    )
    counted = section.opening_kopecks + section.received_kopecks - section.written_off_kopecks
    if counted != section.closing_kopecks:
        shown = f"{format_roubles(counted)}, а в файле {format_roubles(section.closing_kopecks)}"
        raise FileRefused(Code.STATEMENT_BALANCE, f"конечный остаток по оборотам {shown}", block.row)
    return section


def _purpose_of_parts(others: dict[str, str]) -> str:
    """Older files write the purpose in up to six lines only."""
    return " ".join(filter(None, (others.get(f"НазначениеПлатежа{number}", "") for number in range(1, 7))))


def _party(block: _Block, others: dict[str, str], who: str) -> Party:
    """Take a payer's or payee's keys out of the document's."""
    values = {}
    for field, (suffix, chars_max) in PARTY_KEYS.items():
        values[field] = others.pop(who + suffix, "")
        _check_length(block, who + suffix, values[field], chars_max)
    return Party(**values)


def _check_lengths(block: _Block, others: dict[str, str]) -> None:
    for key, value in others.items():
        _check_length(block, key, value, OTHER_KEYS.get(key, 0))


def _check_length(block: _Block, key: str, value: str, chars_max: int) -> None:
    if chars_max and len(value) > chars_max:
        raise FileRefused(Code.TEXT_TOO_LONG, f"«{key}» длиннее {chars_max} знаков", block.places[key])


def _check_budget(block: _Block, others: dict[str, str]) -> None:
    """A payment to the budget says all of it or nothing."""
    missing = [key for key in BUDGET_KEYS if key not in others]
    if others.get(BUDGET_STATUS) and missing:
        text = f"есть «{BUDGET_STATUS}», но нет «{missing[0]}»"
        raise FileRefused(Code.STATEMENT_SHAPE, text, block.places[BUDGET_STATUS])


def _money(block: _Block, key: str, absent: int | None = None) -> int:
    text = block.values.get(key, "")
    if not text and absent is not None:
        return absent
    try:
        return int(_amount(text)) if text else _refuse_absent(block, key)
    except FieldFault as fault:
        raise FileRefused(fault.code, f"«{key}»: {fault.text}", block.places[key]) from None


def _needed_date(block: _Block, key: str) -> datetime.date:
    found = _optional_date(block, key)
    return found if found is not None else _refuse_absent(block, key)


def _optional_date(block: _Block, key: str) -> datetime.date | None:
    text = block.values.get(key, "")
    try:
        return _date(text) if text else None
    except FieldFault as fault:
        raise FileRefused(fault.code, f"«{key}»: {fault.text}", block.places[key]) from None


def _refuse_absent(block: _Block, key: str) -> NoReturn:
    raise FileRefused(Code.STATEMENT_SHAPE, f"нет «{key}»", block.places.get(key, block.row))
