"""A desk: one connection of one dialect, made ready. It reads a request, asks the port, and prints the reply."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from prometheus_client import Counter

from actors.client import Router
from gateways.connections import Connection
from gateways.processors.contract import Contract
from gateways.processors.port import PayerOf, Port
from gateways.processors.results import RefusedError, Result
from gateways.processors.terms import Terms

_log = logging.getLogger("kopeck.processors")
_RESULTS = Counter(
    "kopeck_processor_results", "Replies to processors by command and result code", ["dialect", "command", "code"]
)

_FORGED = Counter("kopeck_processor_signatures_wrong", "Requests whose signature is not the sender's", ["connection"])

Fields = dict[str, str]
"""A request's parameters by name, as text."""

Headers = Mapping[str, str]

Told = tuple[str, bytes, Headers]
"""A reply: its code as the protocol writes it, its body, and its HTTP headers."""

Command = Callable[[Fields], Awaitable[Told]]


class Needs(Protocol):
    """What desks need of the gateway."""

    @property
    def router(self) -> Router: ...
    @property
    def payer(self) -> PayerOf: ...


class Desk:
    """What all dialects' desks do alike. A dialect says how to read, its commands, and how to refuse."""

    def __init__(self, connection: Connection, terms: Terms, needs: Needs) -> None:
        self.connection = connection
        self.contract = Contract(connection, terms)
        self.port = Port(needs.router, needs.payer, self.contract)
        self.commands: dict[str, Command] = {}
        self._counted: dict[tuple[str, str], Callable[[], None]] = {}

    def read(self, text: str) -> Fields:
        """Read a request: the raw query, or the body. Errors: `RefusedError`."""
        raise NotImplementedError

    def command_of(self, fields: Fields) -> str:
        """Return the name of the command that is asked for."""
        raise NotImplementedError

    def refused(self, fields: Fields, refusal: RefusedError) -> Told:
        """Print a refusal. `fields` may lack anything."""
        raise NotImplementedError

    async def answer(self, text: str) -> tuple[bytes, Headers]:
        """Answer one request in the protocol's own form, whatever happens.

        Shape: `text` is UTF-8; other bytes are in it as surrogates, so that the bytes as sent can be had back.
        """
        fields: Fields = {}
        name = ""
        try:
            fields = self.read(text)
            name = self.command_of(fields)
            command = self.commands.get(name)
            if command is None:
                raise RefusedError(Result.UNKNOWN_COMMAND)
            code, body, headers = await command(fields)
        except RefusedError as refusal:
            if refusal.result is Result.BAD_SIGNATURE:
                _FORGED.labels(self.connection.name).inc()
            code, body, headers = self.refused(fields, refusal)
        # The outermost edge: a bug of ours must not make the agent return money that we may have credited.
        except Exception:  # noqa: BLE001
            _log.exception("connection=%s command=%s failed", self.connection.name, _name_to_tell(name, self.commands))
            code, body, headers = self.refused(fields, RefusedError(Result.TEMPORARY))
        self._count(_name_to_tell(name, self.commands), code)
        return body, headers

    def _count(self, command: str, code: str) -> None:
        """Count a reply; the labelled counters are kept, for looking one up costs more than counting."""
        count = self._counted.get((command, code))
        if count is None:
            labels = (self.connection.dialect, command, code)
            count = self._counted[command, code] = _RESULTS.labels(*labels).inc
        count()


def _name_to_tell(name: str, commands: Mapping[str, Command]) -> str:
    return name if name in commands else "other"
