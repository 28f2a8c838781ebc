"""Processors: they ask by the OSMP protocol whether an account can be paid, then pay."""

import re
from http import HTTPStatus

from locust import task

from loadtests.payments import invent, osmp_check, osmp_pay
from loadtests.visitor import REPEATS_SHARE, Visitor, refusal

_DOOR = "/osmp"
_DONE = b"0"
_RESULT = re.compile(rb"<result>(\d+)</result>")
_OUR_NUMBER = re.compile(rb"<prv_txn>(\d+)</prv_txn>")


class Processor(Visitor):
    """A payment processor: `check`, then `pay`, each a request of its own."""

    weight = 4

    @task
    def visit(self) -> None:
        """Check and pay; now and then send the payment again."""
        payment = invent(self.installation.accounts, self.chance)
        if self._ask(osmp_check(payment), "check") is None:
            return
        pay = osmp_pay(payment)
        first = self._ask(pay, "pay")
        if first is not None and self.chance.random() < REPEATS_SHARE:
            self._ask(pay, "pay (repeat)", number_before=_number_of(first))

    def _ask(self, query: str, name: str, *, number_before: bytes | None = None) -> bytes | None:
        """Send one command; return the reply if it is result 0, and under the same number as before."""
        basic = self.installation.processor
        with self.client.get(
            f"{_DOOR}?{query}", name=f"{_DOOR} {name}", auth=(basic.login, basic.password), catch_response=True
        ) as response:
            reply = bytes(response.content or b"")
            result = _RESULT.search(reply)
            if response.status_code != HTTPStatus.OK or result is None:
                response.failure(refusal(response))
            elif result[1] != _DONE:
                response.failure(f"result {result[1].decode()}")
            elif number_before not in (None, _number_of(reply)):
                response.failure("broken promise: a repeat was paid again")
            else:
                return reply
        return None


def _number_of(reply: bytes) -> bytes | None:
    """The system's own number of a payment, as its reply to `pay` tells it."""
    found = _OUR_NUMBER.search(reply)
    return found[1] if found else None
