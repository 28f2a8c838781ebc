"""The live state of one personal account: a fold of its events and nothing else."""

import enum

import msgspec

from engine.charge import LineKey, OpenItem
from engine.ids import AccountId, Period, ProviderId, ServiceCode


class Status(enum.IntEnum):
    """UNKNOWN: no event ever opened it (money may still wait there as unidentified receipts)."""

    UNKNOWN = 0
    OPEN = 1
    CLOSED = 2


class AdvanceLot(msgspec.Struct, array_like=True, gc=False):
    """What is left of the advance that one payment brought, for a target or for the account (both names empty).

    Units: kopecks, always > 0. `payment_seq` is the `account_seq` of the event that received the payment.
    """

    payment_seq: int
    service: ServiceCode
    provider: ProviderId
    kopecks: int


class AccountState(msgspec.Struct):
    """State after the event number `seq` of this account.

    Shape: `items` holds at most one item a key; a closed one (due 0) stays only while its period is the newest charged
    one, where it tells the last accruals. `lots` are in the order the payments came, oldest first. `unidentified` has
    what is left of each receipt for a number that nobody knew, by the receipt's `account_seq`. While there are `holds`
    (who holds, in order), no money moves to a provider.
    """

    account: AccountId
    status: Status = Status.UNKNOWN
    agreement: str = ""
    seq: int = 0
    items: dict[LineKey, OpenItem] = {}
    lots: list[AdvanceLot] = []
    unidentified: dict[int, int] = {}
    newest_period: Period = Period(0)
    holds: tuple[str, ...] = ()

    def due_kopecks(self) -> int:
        """Sum of all open items; negative items (credits of providers) included."""
        return sum([item.due_kopecks for item in self.items.values()])

    def advance_kopecks(self) -> int:
        """Sum of all advance lots."""
        return sum([lot.kopecks for lot in self.lots])

    def balance_kopecks(self) -> int:
        """What the consumer owes all told: open items less advances; negative is an overpayment."""
        return self.due_kopecks() - self.advance_kopecks()
