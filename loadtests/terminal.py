"""Terminals: they pay by JSON, and repeat what they did not hear the answer to."""

from http import HTTPStatus

from locust import task
from locust.contrib.fasthttp import ResponseContextManager

from loadtests.payments import invent, is_split, json_body
from loadtests.visitor import REPEATS_SHARE, Visitor, refusal

_PAYMENTS = "/v1/payments"


class Terminal(Visitor):
    """A cashier's terminal: one payment a visit."""

    weight = 4

    @task
    def visit(self) -> None:
        """Pay; now and then send the same again."""
        body = json_body(invent(self.installation.accounts, self.chance))
        receipt = self._pay(body)
        if receipt is not None and self.chance.random() < REPEATS_SHARE:
            self._repeat(body, receipt)

    def _pay(self, body: str) -> bytes | None:
        """Send a payment; return its receipt, or None if there is no sound one."""
        with self._send(body, _PAYMENTS) as response:
            receipt = bytes(response.content or b"")
            if response.status_code != HTTPStatus.CREATED:
                response.failure(refusal(response))
            elif not is_split(receipt):
                response.failure("broken promise: the parts are not the whole")
            else:
                return receipt
        return None

    def _repeat(self, body: str, receipt: bytes) -> None:
        with self._send(body, f"{_PAYMENTS} (repeat)") as response:
            if response.status_code != HTTPStatus.OK:
                response.failure(refusal(response))
            elif response.content != receipt:
                response.failure("broken promise: a repeat was answered differently")

    def _send(self, body: str, name: str) -> ResponseContextManager:
        headers = {"Authorization": f"Bearer {self.installation.payer_key}", "Content-Type": "application/json"}
        return self.client.post(_PAYMENTS, data=body, name=name, headers=headers, catch_response=True)
