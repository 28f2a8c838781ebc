"""Files as billings and banks send them, one good one of each preset, and what breaks them.

A container (a zipped file, a workbook) is broken in two ways: as bytes, and within, packed again so that it opens.
"""

import io
import itertools
import signal
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import NamedTuple

import msgspec
import openpyxl

from intake import reader
from intake.faults import FileRefused
from intake.presets import PRESETS
from intake.rows import Item, RowFault
from tests.fuzz.mutations import mutated
from tests.fuzz.wire import Broken

READ_S_MAX = 20
_ITEMS_MAX = 200_000
_KOPECKS_MAX = 1 << 62

CHARGES = {
    "ACCOUNT": ("007001020003", "007001020004"),
    "PERIOD": ("2026-09", "2026-09"),
    "SERVICE": ("Отопление", "Вода"),
    "PROVIDER_INN": ("7701234567", "7701234567"),
    "ACCRUED": ("1200,00", "643,17"),
    "TARIFF": ("2430,12", ""),
    "VOLUME": ("0,4938", "12,5"),
    "DUE_DATE": ("2026-10-10", ""),
}
ACCOUNTS = {
    "ACCOUNT": ("007001020003", "007001020004"),
    "HOLDER": ("Иванов Иван", 'ООО "Ромашка; и К"'),
    "AREA": ("54,30", "31"),
    "REGISTERED": ("3", "0"),
    "CLOSED": ("0", "1"),
    "CLOSE_DATE": ("", "2026-09-30"),
}
METERS = {
    "ACCOUNT": ("007001020003",),
    "SERVICE": ("Вода",),
    "SERIAL": ("А-123/4",),
    "DIGITS": ("8",),
    "ZONE": ("Т1",),
    "VERIFIED": ("2020-01-31",),
    "INITIAL": ("0,000",),
}
READINGS = {
    "ACCOUNT": ("007001020003", "007001020003"),
    "SERVICE": ("Вода", "Электричество"),
    "SERIAL": ("А-123/4", "7"),
    "VALUE": ("123,456", "99999"),
    "DATE": ("2026-09-25", "2026-09-24"),
    "ZONE": ("1", "2"),
}
PAYMENTS = {
    "OPERATION": ("1", "A-2"),
    "ACCOUNT": ("007001020003", "007001020004"),
    "DATE": ("2026-09-25", "2026-09-24"),
    "SUM": ("500,00", "0,01"),
    "AGENT": ("касса", "почта"),
}
BANK_12 = (
    "15-10-2026;10-33-38;8625/00123;000001HH;104412345678901234567;007001020003;ИВАНОВ И.И.;Г.ЭНСК,УЛ.МИРА;0926;"
    "1500,00;1477,50;22,50\r\n"
    "15-10-2026;18-05-11;8625/00907;СБОЛ;104412345678901234568;007001020004;;Г.ЭНСК;0926;500,00;492,50;7,50\r\n"
    "=2;2000,00;1970,00;30,00;123456;16-10-2026\r\n"
)
OSMP_TAB = (
    "9715351212001\t20261015120133\t007001020003\t1843.17\r\n"
    "9715351212002\t20261015120508\t007001020004\t500.00\r\n"
    "Total:\t2\t2343.17\r\n"
)
ZIPPED = {
    "TRANSACTION_ID": ("T1", "T2"),
    "PARENT_ID": ("", "T1"),
    "ACCOUNT": ("007001020003", "007001020003"),
    "SUM": ("100,00", "50,00"),
    "COMMISSION": ("1,00", "0,50"),
    "TRANS_DATE": ("15.10.2026 10:00:00", "2026-10-15 11:00:00"),
}
CHARGES_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Charges period="2026-09"><Account number="007001020003">'
    '<Charge service="Отопление" provider="7701234567" accrued="1200.00" tariff="2430.12" volume="0.4938"/>'
    '<Charge service="Вода" provider="7701234567" accrued="643.17"/></Account></Charges>\n'
)
STATEMENT = (
    "1CClientBankExchange\r\nВерсияФормата=1.03\r\nКодировка=Windows\r\nОтправитель=Банк\r\nДатаНачала=15.10.2026\r\n"
    "ДатаКонца=15.10.2026\r\nРасчСчет=40702810900000000001\r\nСекцияРасчСчет\r\nДатаНачала=15.10.2026\r\n"
    "ДатаКонца=15.10.2026\r\nРасчСчет=40702810900000000001\r\nНачальныйОстаток=0.00\r\nВсегоПоступило=1970.00\r\n"
    "ВсегоСписано=0.00\r\nКонечныйОстаток=1970.00\r\nКонецРасчСчет\r\nСекцияДокумент=Платежное поручение\r\n"
    "Номер=123456\r\nДата=15.10.2026\r\nСумма=1970.00\r\nПлательщикСчет=30101810400000000225\r\n"
    "Плательщик=ИНН 7707083893 БАНК\r\nПлательщикИНН=7707083893\r\nПолучательСчет=40702810900000000001\r\n"
    "ДатаПоступило=15.10.2026\r\nПолучатель=РЦ\r\nПолучательИНН=7701234567\r\n"
    "НазначениеПлатежа=Реестр за 15.10.2026, сумма=1970.00\r\nКонецДокумента\r\nКонецФайла\r\n"
)


class FileKind(NamedTuple):
    """One good file of a preset; `breaks` makes a broken one of it."""

    good: bytes
    breaks: Callable[[Random, bytes], bytes] = mutated


def _csv(table: Mapping[str, Sequence[str]], separator: str = ";") -> bytes:
    rows = [list(table), *map(list, zip(*table.values(), strict=True))]
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' if ";" in cell else cell for cell in row] for row in rows]
    return "".join(separator.join(row) + "\r\n" for row in quoted).encode()


def _dbf(fields: Sequence[tuple[str, str, int, Sequence[str]]]) -> bytes:
    """A dBase III file: fields are name, type, width and the text of each record. Encoded in cp866, and says so."""
    count = len(fields[0][3])
    record_bytes = 1 + sum(width for _, _, width, _ in fields)
    head = bytes((0x03, 126, 10, 1)) + count.to_bytes(4, "little") + (33 + 32 * len(fields)).to_bytes(2, "little")
    head += record_bytes.to_bytes(2, "little") + bytes(17) + b"\x26" + bytes(2)
    for name, kind, width, _ in fields:
        decimals = 2 if kind == "N" else 0
        head += name.encode().ljust(11, b"\x00") + kind.encode() + bytes(4) + bytes((width, decimals)) + bytes(14)
    records = b""
    for number in range(count):
        records += b" "
        for _, kind, width, texts in fields:
            text = texts[number].rjust(width) if kind == "N" else texts[number].ljust(width)
            records += text.encode("cp866")
    return head + b"\r" + records + b"\x1a"


_DBF_FIELDS = (
    ("LS", "C", 20, ("007001020003", "007001020004")),
    ("PERIOD", "C", 6, ("202609", "202609")),
)
_DBF_LONG = _dbf(
    (
        *_DBF_FIELDS,
        ("USL", "C", 30, ("Отопление", "Вода")),
        ("POST_INN", "C", 12, ("7701234567", "7701234567")),
        ("NACH", "N", 12, ("1200.00", "643.17")),
        ("DT_OPL", "D", 8, ("20261010", "")),
    )
)
_DBF_WIDE = _dbf(
    (
        *_DBF_FIELDS,
        *(
            field
            for n in range(1, 11)
            for field in (
                (f"USL{n}", "C", 10, ("Вода" if n < 3 else "", "")),
                (f"POSTUSL{n}", "C", 12, ("7701234567" if n < 3 else "", "")),
                (f"SUM{n}", "N", 12, (f"{n}.00" if n < 3 else "", "")),
            )
        ),
    )
)


def _xlsx() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None, "a new book has a sheet"
    sheet.append(["Лицевой счёт", "Период", "Услуга", "ИНН поставщика", "Начислено", "Срок оплаты"])
    sheet.append(["007001020003", "09.2026", "Отопление", "7701234567", "1 200,00", "2026-10-10"])
    sheet.append(["007001020004", "09.2026", "Вода", "7701234567", 643.17, None])
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def _break_within(dice: Random, packed: bytes) -> bytes:
    """Break a container as bytes; more often one of its members, and now and then what it consists of."""
    if dice.random() < 0.3:
        return mutated(dice, packed)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = dice.choice(list(members))
    match dice.randrange(8):
        case 0:
            del members[name]
        case 1:
            members[dice.choice(("../x.csv", "b.csv", "/x", "a" * 300, "x/y/z.csv"))] = members[name]
        case _:
            members[name] = mutated(dice, members[name])
    return zipped(members)


FILES: Mapping[str, FileKind] = {
    "charges-csv": FileKind(_csv(CHARGES)),
    "accounts-csv": FileKind(_csv(ACCOUNTS)),
    "meters-csv": FileKind(_csv(METERS)),
    "readings-csv": FileKind(_csv(READINGS)),
    "payments-csv": FileKind(_csv(PAYMENTS)),
    "charges-dbf": FileKind(_DBF_LONG),
    "charges-dbf-wide": FileKind(_DBF_WIDE),
    "charges-xml": FileKind(CHARGES_XML.encode()),
    "charges-xlsx": FileKind(_xlsx(), _break_within),
    "bank-12": FileKind(BANK_12.encode("cp1251")),
    "zip-csv": FileKind(zipped({"report.csv": _csv(ZIPPED)}), _break_within),
    "osmp-tab": FileKind(OSMP_TAB.encode()),
    "client-bank": FileKind(STATEMENT.encode("cp1251")),
}


def play(name: str, seed: int, count: int) -> Counter[str]:
    """Read so many broken files of a preset; return how they ended. Errors: `Broken`, with the file that broke it."""
    kind, dice = FILES[name], Random(f"{name} {seed}")
    ended: Counter[str] = Counter()
    for _ in range(count):
        ended[end_of(name, kind.breaks(dice, kind.good))] += 1
    return ended


def end_of(name: str, content: bytes) -> str:
    """Read one file and tell how that ended: refused as a whole (by its code), or in rows. Errors: `Broken`."""
    rows = faults = 0
    try:
        with _in_time():
            for item in itertools.islice(reader.read(io.BytesIO(content), PRESETS[name]), _ITEMS_MAX):
                _check(item)
                faults += isinstance(item, RowFault)
                rows += not isinstance(item, RowFault)
    except FileRefused as refused:
        return f"refused: {refused.code.value}"
    # Whatever else comes out of a reader is what this looks for.
    except Exception as error:
        raise Broken(f"{error!r} from {content!r}") from error
    return "with faulty rows" if faults else "rows" if rows else "nothing"


def _check(item: Item) -> None:
    """What a reader gives can be kept in Postgres: text without NUL or half characters, amounts of 64 bits."""
    msgspec.json.encode(item)
    for name in item.__struct_fields__:
        value = getattr(item, name)
        if isinstance(value, str) and "\x00" in value:
            raise ValueError(f"NUL in {name} of {item}")
        if name.endswith("_kopecks") and value is not None and abs(value) > _KOPECKS_MAX:
            raise ValueError(f"{name} of {item} is beyond any bound")


@contextmanager
def _in_time() -> Iterator[None]:
    """Raise where a file takes longer than any good one: a hang."""

    def expire(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not read within {READ_S_MAX} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(READ_S_MAX)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
