"""OSMP replies as bytes. Written by hand: three fixed shapes, nothing before `<?xml`, all else escaped.

Built once per connection; a reply is then one string formatting.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from engine.money import format_roubles
from gateways.processors.osmp_terms import Code, OsmpTerms

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n<response>\n'


class OsmpXml:
    """The reply shapes of one contract. Every method returns a whole UTF-8 document."""

    def __init__(self, terms: OsmpTerms) -> None:
        txn, paid, amount = terms.txn_element, terms.paid_element, terms.sum_element
        result, comment = terms.result_element, terms.comment_element
        head = f"{_DECLARATION}  <{txn}>%s</{txn}>\n"
        tail = f"  <{result}>%d</{result}>\n  <{comment}>%s</{comment}>\n"
        repeated = {Code.TEMPORARY: terms.temporary_code, Code.NOT_FINISHED: terms.not_finished_code}
        self._codes = {code: repeated.get(code, terms.codes.get(code, code)) for code in Code}
        self._done = f"{head}  <{paid}>%d</{paid}>\n  <{amount}>%s</{amount}>\n{tail % (Code.OK, 'OK')}</response>\n"
        self._checked = f"{head}{tail % (Code.OK, 'OK')}%s</response>\n"
        self._refused = f"{head}{tail}</response>\n"

    def done(self, txn_id: str, prv_txn: int, amount_kopecks: int) -> bytes:
        """It is durable: our number and the amount credited."""
        return (self._done % (txn_id, prv_txn, format_roubles(amount_kopecks))).encode()

    def checked(self, txn_id: str, fields: Sequence[tuple[str, str]]) -> bytes:
        """The account can be paid; `fields` (name, text) are shown at the terminal."""
        lines = [
            f'    <field{number} name={quoteattr(name)} type="disp">{escape(text)}</field{number}>\n'
            for number, (name, text) in enumerate(fields, 1)
        ]
        block = f"  <fields>\n{''.join(lines)}  </fields>\n" if lines else ""
        return (self._checked % (txn_id, block)).encode()

    def refused(self, txn_id: str, code: Code, comment: str) -> bytes:
        """It is not done; whether the agent tries again is the code's business."""
        return (self._refused % (escape(txn_id), self._codes[code], escape(comment))).encode()
