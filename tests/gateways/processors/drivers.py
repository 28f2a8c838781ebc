"""A driver a dialect: how its processor says check and pay, and how it reads what we answer. Strangers to our code.

`kind` is what the processor makes of an answer: "done" (credited), "repeat" (it sends the same again) or "no" (it gives
the money back).
"""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from gateways.connections import Connection
from tests.gateways.osmp_stage import contract
from tests.gateways.processors.keys import KEY, PRIVATE_PEM, PUBLIC_PEM

DATE = "2026-10-15T12:01:33"
Kind = Literal["done", "repeat", "no"]


class Sent(NamedTuple):
    """A request as it goes over the wire."""

    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}


class Answer(NamedTuple):
    """What a processor reads in a reply. `ours` is our number of the payment, if the protocol tells it."""

    kind: Kind
    code: str
    ours: str = ""


class Driver:
    """What the suite needs of a dialect's processor. `codes`: what it expects to hear of each case."""

    name: ClassVar[str]
    terms: ClassVar[Mapping[str, Any]] = {}
    codes: ClassVar[Mapping[str, str]]
    done: ClassVar[frozenset[str]]
    repeat: ClassVar[frozenset[str]]
    keeps_unknown = False
    tells_number = True
    is_signed = False
    encodings: ClassVar[tuple[str, ...]] = ("utf-8",)

    def connection(self, **more: object) -> Connection:
        """This dialect's connection, with other terms where asked for."""
        terms = {**self.terms, **dict(more.pop("terms", {}))}  # type: ignore[call-overload]
        usual: dict[str, object] = {"name": f"{self.name}-demo", "source": self.name, "dialect": self.name}
        usual |= {"basic_login": "", "basic_password_sha256": "", "allow_networks": ("127.0.0.0/8",)}
        return contract(**(usual | more), terms=terms)

    def check(self, account: str, amount: str = "", encoding: str = "utf-8") -> Sent:
        raise NotImplementedError

    def pay(self, txn_id: str, account: str, amount: str = "1843.17", encoding: str = "utf-8") -> Sent:
        raise NotImplementedError

    def read(self, body: bytes) -> Answer:
        raise NotImplementedError

    def kind(self, code: str) -> Kind:
        """What the processor does after a code."""
        return "done" if code in self.done else "repeat" if code in self.repeat else "no"


def elements(body: bytes) -> dict[str, str]:
    """Read a reply's elements by name, as a strict parser does."""
    assert body.startswith(b"<?xml"), "strict parsers allow nothing before it"
    return {element.tag: element.text or "" for element in ElementTree.fromstring(body).iter()}


class Osmp(Driver):
    name = "osmp"
    terms: ClassVar = {"cancel": True, "status": True}
    codes: ClassVar = {
        "ok": "0", "duplicate": "0", "unknown": "5", "closed": "79", "format": "4", "conflict": "300", "amount": "300",
    }  # fmt: skip
    done = frozenset({"0"})
    repeat = frozenset({"1", "90"})

    def check(self, account: str, amount: str = "", encoding: str = "utf-8") -> Sent:
        return self._get({"command": "check", "txn_id": "1", "account": account} | ({"sum": amount} if amount else {}))

    def pay(self, txn_id: str, account: str, amount: str = "1843.17", encoding: str = "utf-8") -> Sent:
        fields = {"command": "pay", "txn_id": txn_id, "txn_date": "20261015120133", "account": account, "sum": amount}
        return self._get(fields)

    def _get(self, fields: dict[str, str]) -> Sent:
        return Sent("GET", f"/osmp?{urlencode(fields)}")

    def read(self, body: bytes) -> Answer:
        found = elements(body)
        return Answer(self.kind(found["result"]), found["result"], found.get("prv_txn", ""))


class Cyberplat(Driver):
    name = "cyberplat"
    terms: ClassVar = {"public_key": PUBLIC_PEM, "private_key": PRIVATE_PEM, "cancel": True}
    codes: ClassVar = {
        "ok": "0", "duplicate": "0", "unknown": "2", "closed": "2", "format": "2", "conflict": "4", "amount": "3",
        "signature": "-4", "foreign": "10",
    }  # fmt: skip
    done = frozenset({"0"})
    repeat = frozenset({"-3", "8"})
    is_signed = True
    encodings = ("windows-1251", "utf-8")

    def check(self, account: str, amount: str = "", encoding: str = "windows-1251") -> Sent:
        query = f"action=check&number={quote(account, encoding=encoding)}&type=1"
        return self.signed(query + (f"&amount={quote(amount)}" if amount else ""))

    def pay(self, txn_id: str, account: str, amount: str = "1843.17", encoding: str = "windows-1251") -> Sent:
        number = quote(account, encoding=encoding)
        query = f"action=payment&number={number}&type=1&amount={quote(amount)}&receipt={txn_id}&date={DATE}"
        return self.signed(query)

    def signed(self, query: str) -> Sent:
        """Sign a query as it is."""
        signature = KEY.sign(query.encode(), PKCS1v15(), hashes.SHA1()).hex()
        return Sent("GET", f"/cyberplat?{query}&sign={signature}")

    def read(self, body: bytes) -> Answer:
        found = elements(body)
        if found["code"] != self.codes["foreign"]:
            unsigned, _, rest = body.partition(b"  <sign>")
            signature, _, end = rest.partition(b"</sign>\n")
            KEY.public_key().verify(bytes.fromhex(signature.decode()), unsigned + end, PKCS1v15(), hashes.SHA1())
        return Answer(self.kind(found["code"]), found["code"], found.get("authcode", ""))


class Moneta(Driver):
    """Its answers to payments are words; whatever is not SUCCESS it sends again."""

    name = "moneta"
    terms: ClassVar = {"code": "QWERTY", "mnt_id": "54600817"}
    codes: ClassVar = {
        "ok": "402", "duplicate": "SUCCESS", "unknown": "500", "closed": "500", "format": "500", "conflict": "FAIL",
        "amount": "FAIL", "signature": "FAIL",
    }  # fmt: skip
    done = frozenset({"SUCCESS", "100", "402"})
    repeat = frozenset({"FAIL", "302"})
    keeps_unknown = True
    tells_number = False
    is_signed = True

    def check(self, account: str, amount: str = "", encoding: str = "utf-8") -> Sent:
        return self.signed(self._order(account, amount) | {"MNT_COMMAND": "CHECK"})

    def pay(self, txn_id: str, account: str, amount: str = "1843.17", encoding: str = "utf-8") -> Sent:
        return self.signed(self._order(account, amount) | {"MNT_OPERATION_ID": txn_id})

    def _order(self, account: str, amount: str) -> dict[str, str]:
        fields = {"MNT_ID": "54600817", "MNT_TRANSACTION_ID": "FF790ABCD", "MNT_CURRENCY_CODE": "RUB"}
        fields |= {"MNT_SUBSCRIBER_ID": account, "MNT_TEST_MODE": "0"}
        return fields | ({"MNT_AMOUNT": amount} if amount else {})

    def signed(self, fields: dict[str, str]) -> Sent:
        """Sign fields in the published order and send them as a form."""
        names = [
            "COMMAND",
            "ID",
            "TRANSACTION_ID",
            "OPERATION_ID",
            "AMOUNT",
            "CURRENCY_CODE",
            "SUBSCRIBER_ID",
            "TEST_MODE",
        ]
        text = "".join(fields.get(f"MNT_{name}", "") for name in names) + "QWERTY"
        form = urlencode(fields | {"MNT_SIGNATURE": hashlib.md5(text.encode()).hexdigest()})
        return Sent("POST", "/moneta", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})

    def read(self, body: bytes) -> Answer:
        if body in (b"SUCCESS", b"FAIL"):
            return Answer(self.kind(body.decode()), body.decode())
        found = elements(body)
        code = found["MNT_RESULT_CODE"]
        signed = f"{code}{found['MNT_ID']}{found['MNT_TRANSACTION_ID']}QWERTY"
        assert found["MNT_SIGNATURE"] == hashlib.md5(signed.encode()).hexdigest()
        return Answer(self.kind(code), code)


class Sber(Driver):
    name = "sber"
    codes: ClassVar = {
        "ok": "0", "duplicate": "8", "unknown": "3", "closed": "3", "format": "3", "conflict": "5", "amount": "4",
    }  # fmt: skip
    done = frozenset({"0", "8"})
    repeat = frozenset({"-1"})
    encodings = ("utf-8", "windows-1251")

    def check(self, account: str, amount: str = "", encoding: str = "utf-8") -> Sent:
        query = f"ACTION=check&ACCOUNT={quote(account, encoding=encoding)}"
        return Sent("GET", f"/sber?{query}" + (f"&AMOUNT={quote(amount)}" if amount else ""))

    def pay(self, txn_id: str, account: str, amount: str = "1843.17", encoding: str = "utf-8") -> Sent:
        query = f"ACTION=payment&ACCOUNT={quote(account, encoding=encoding)}&AMOUNT={quote(amount)}"
        return Sent("GET", f"/sber?{query}&PAY_ID={txn_id}&PAY_DATE=15.10.2026_12:01:33")

    def read(self, body: bytes) -> Answer:
        found = elements(body)
        return Answer(self.kind(found["CODE"]), found["CODE"], found.get("REG_ID", ""))


class Bisys(Driver):
    name = "bisys"
    terms: ClassVar = {"password": "canary-bisys-1f", "unit": "roubles"}
    codes: ClassVar = {
        "ok": "0", "duplicate": "1", "unknown": "20", "closed": "21", "format": "20", "conflict": "30", "amount": "29",
        "signature": "13", "foreign": "10",
    }  # fmt: skip
    done = frozenset({"0", "1"})
    repeat = frozenset({"2", "90"})
    is_signed = True
    encodings = ("windows-1251", "utf-8")

    def check(self, account: str, amount: str = "", encoding: str = "windows-1251") -> Sent:
        params = f"<act>1</act><agent_date>{DATE}</agent_date><account>{account}</account>"
        return self.signed(params + (f"<pay_amount>{amount}</pay_amount>" if amount else ""), encoding)

    def pay(self, txn_id: str, account: str, amount: str = "1843.17", encoding: str = "windows-1251") -> Sent:
        params = f"<act>2</act><account>{account}</account><pay_amount>{amount}</pay_amount>"
        return self.signed(f"{params}<pay_id>{txn_id}</pay_id><pay_date>{DATE}</pay_date>", encoding)

    def signed(self, params: str, encoding: str = "windows-1251") -> Sent:
        """Sign parameters as they are."""
        inner = params.encode(encoding)
        sign = self.signature(inner)
        head = f'<?xml version="1.0" encoding="{encoding}"?><request><params>'.encode()
        return self.posted(head + inner + f"</params><sign>{sign}</sign></request>".encode())

    def signature(self, inner: bytes) -> str:
        """Sign bytes."""
        return hashlib.md5(inner + b"canary-bisys-1f").hexdigest().upper()

    def posted(self, body: bytes) -> Sent:
        """Send a document as it is."""
        return Sent("POST", "/bisys", body, {"Content-Type": "text/xml"})

    def read(self, body: bytes) -> Answer:
        found = elements(body)
        if found["err_code"] != self.codes["foreign"]:
            inner = body.partition(b"<params>")[2].partition(b"</params>")[0]
            assert found["sign"] == self.signature(inner)
        return Answer(self.kind(found["err_code"]), found["err_code"], found.get("reg_id", ""))


DRIVERS: dict[str, Driver] = {driver.name: driver for driver in (Osmp(), Cyberplat(), Moneta(), Sber(), Bisys())}
