"""Connections' settings as the program reads them."""

import msgspec

from gateways.connections import Connection, read_connection
from tests.gateways.osmp_stage import row


def refusal_of(connection: Connection) -> str:
    """Why a connection cannot be used; empty if it can."""
    try:
        read_connection(row(connection))
    except msgspec.ValidationError as error:
        return str(error)
    return ""
