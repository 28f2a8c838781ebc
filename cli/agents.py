"""Simulated processors: each checks and pays in its own protocol, by the credentials of demo.json."""

import datetime
import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from cli.demo_connections import DemoFile

_MOSCOW = datetime.timezone(datetime.timedelta(hours=3))
_XML = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


class Asked(NamedTuple):
    """A request: GET of a URL that is encoded already, or POST of a body."""

    url: str
    headers: dict[str, str]
    body: bytes | None = None


class Heard(NamedTuple):
    """A reply. `ours` is our number of the payment, where the protocol tells it."""

    done: bool
    code: str
    ours: str = ""


class Agent(NamedTuple):
    """A processor: how it asks whether an account can be paid, how it pays, how it reads a reply."""

    name: str
    check: Callable[[int, str], Asked]
    pay: Callable[[int, str, int], Asked]
    read: Callable[[bytes], Heard]


def agents_of(demo: DemoFile) -> list[Agent]:
    """The processors of a demonstration, one a protocol."""
    makers = {"osmp": _osmp, "cyberplat": _cyberplat, "moneta": _moneta, "sber": _sber, "bisys": _bisys}
    return [make(demo.dialects[name]) for name, make in makers.items()]


def _now(form: str) -> str:
    return datetime.datetime.now(tz=_MOSCOW).strftime(form)


def _roubles(kopecks: int) -> str:
    return f"{kopecks // 100}.{kopecks % 100:02d}"


def _basic(credentials: dict[str, str]) -> dict[str, str]:
    pair = f"{credentials['login']}:{credentials['password']}".encode()
    return {"Authorization": f"Basic {b64encode(pair).decode()}"}


def _reader(code: str, ours: str, good: set[str]) -> Callable[[bytes], Heard]:
    """Read an XML reply by the names of its elements."""

    def read(body: bytes) -> Heard:
        found = {str(element.tag): element.text or "" for element in etree.fromstring(body, _XML).iter()}
        return Heard(found[code] in good, found[code], found.get(ours, ""))

    return read


def _osmp(own: dict[str, str]) -> Agent:
    headers = _basic(own)

    def asked(**fields: str) -> Asked:
        return Asked(f"{own['url']}?{urlencode(fields)}", headers)

    def check(number: int, account: str) -> Asked:
        return asked(command="check", txn_id=str(number), account=account, sum="0.00")

    def pay(number: int, account: str, kopecks: int) -> Asked:
        date = _now("%Y%m%d%H%M%S")
        return asked(command="pay", txn_id=str(number), txn_date=date, account=account, sum=_roubles(kopecks))

    return Agent("osmp", check, pay, _reader("result", "prv_txn", {"0"}))


def _cyberplat(own: dict[str, str]) -> Agent:
    key = load_pem_private_key(own["private_key"].encode(), None)
    assert isinstance(key, RSAPrivateKey), "the demonstration made it"

    def signed(query: str) -> Asked:
        signature = key.sign(query.encode(), PKCS1v15(), hashes.SHA1()).hex()  # noqa: S303 - the protocol's hash.
        return Asked(f"{own['url']}?{query}&sign={signature}", {})

    def check(number: int, account: str) -> Asked:
        return signed(f"action=check&{urlencode({'number': account})}&type=1")

    def pay(number: int, account: str, kopecks: int) -> Asked:
        fields = {"number": account, "type": "1", "amount": _roubles(kopecks), "receipt": str(number)}
        return signed(f"action=payment&{urlencode(fields)}&date={_now('%Y-%m-%dT%H:%M:%S')}")

    return Agent("cyberplat", check, pay, _reader("code", "authcode", {"0"}))


def _moneta(own: dict[str, str]) -> Agent:
    names = ("COMMAND", "ID", "TRANSACTION_ID", "OPERATION_ID", "AMOUNT", "CURRENCY_CODE", "SUBSCRIBER_ID", "TEST_MODE")
    read_xml = _reader("MNT_RESULT_CODE", "", {"100", "402"})

    def signed(number: int, account: str, **more: str) -> Asked:
        order = {"MNT_ID": own["mnt_id"], "MNT_TRANSACTION_ID": f"D{number}", "MNT_SUBSCRIBER_ID": account}
        fields = order | {"MNT_CURRENCY_CODE": "RUB", "MNT_TEST_MODE": "0"} | more
        text = "".join(fields.get(f"MNT_{name}", "") for name in names) + own["code"]
        signature = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        form = urlencode(fields | {"MNT_SIGNATURE": signature}).encode()
        return Asked(own["url"], {"Content-Type": "application/x-www-form-urlencoded"}, form)

    def check(number: int, account: str) -> Asked:
        return signed(number, account, MNT_COMMAND="CHECK")

    def pay(number: int, account: str, kopecks: int) -> Asked:
        return signed(number, account, MNT_OPERATION_ID=str(number), MNT_AMOUNT=_roubles(kopecks))

    def read(body: bytes) -> Heard:
        return read_xml(body) if body.startswith(b"<?xml") else Heard(body == b"SUCCESS", body.decode())

    return Agent("moneta", check, pay, read)


def _sber(own: dict[str, str]) -> Agent:
    headers = _basic(own)

    def check(number: int, account: str) -> Asked:
        return Asked(f"{own['url']}?{urlencode({'ACTION': 'check', 'ACCOUNT': account})}", headers)

    def pay(number: int, account: str, kopecks: int) -> Asked:
        fields = {"ACTION": "payment", "ACCOUNT": account, "AMOUNT": _roubles(kopecks), "PAY_ID": str(number)}
        return Asked(f"{own['url']}?{urlencode(fields | {'PAY_DATE': _now('%d.%m.%Y_%H:%M:%S')})}", headers)

    return Agent("sber", check, pay, _reader("CODE", "REG_ID", {"0", "8"}))


def _bisys(own: dict[str, str]) -> Agent:
    def signed(params: str) -> Asked:
        signature = hashlib.md5((params + own["password"]).encode(), usedforsecurity=False).hexdigest().upper()
        document = f"<request><params>{params}</params><sign>{signature}</sign></request>"
        return Asked(own["url"], {"Content-Type": "text/xml"}, document.encode())

    def check(number: int, account: str) -> Asked:
        return signed(f"<act>1</act><account>{account}</account>")

    def pay(number: int, account: str, kopecks: int) -> Asked:
        date = _now("%Y-%m-%dT%H:%M:%S")
        what = f"<account>{account}</account><pay_amount>{kopecks}</pay_amount>"
        return signed(f"<act>2</act>{what}<pay_id>{number}</pay_id><pay_date>{date}</pay_date>")

    return Agent("bisys", check, pay, _reader("err_code", "reg_id", {"0", "1"}))
