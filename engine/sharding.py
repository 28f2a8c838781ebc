"""From a personal account to its slot. Fixed for ever: the journal of every installation depends on it."""

import zlib

from engine.ids import AccountId, Slot

SLOTS = 4096


def slot_of(account: AccountId) -> Slot:
    """Return the slot that owns an account.

    Rule: CRC-32 (ISO-HDLC) of the number's UTF-8 bytes modulo 4096. The test vectors pin it.
    Source: our decision, ADR-0002.
    """
    return Slot(zlib.crc32(account.encode()) % SLOTS)
