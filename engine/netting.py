"""Movements inside an account before money is split: corrections netted, claims passed to a successor."""

from collections.abc import Iterable, Mapping

from engine.charge import Kind, LineKey, OpenItem
from engine.ids import ProviderId

_CLOSED_FIRST = {Kind.CHARGE: 0, Kind.COURT_COST: 1, Kind.PENALTY: 2}


def net_corrections(items: Iterable[OpenItem]) -> dict[LineKey, int]:
    """Net negative items against debts of the same service and provider.

    Rule: principal before court costs before penalties, the oldest period first; what is left of a credit stays with
    its provider and never pays another one.
    Units: signed kopecks by item, to be added to its due; they sum to zero. Empty when there is nothing to net.
    Source: our decision, ADR-0005 (follows from the identity of the creditor).
    """
    items = list(items)
    moves: dict[LineKey, int] = {}
    for credit in sorted((i for i in items if i.due_kopecks < 0), key=_order):
        left = -credit.due_kopecks
        debts = [i for i in items if i.due_kopecks > 0 and i.key[:2] == credit.key[:2]]
        for debt in sorted(debts, key=_order):
            part = min(left, debt.due_kopecks + moves.get(debt.key, 0))
            if part > 0:
                moves[debt.key] = moves.get(debt.key, 0) - part
                moves[credit.key] = moves.get(credit.key, 0) + part
                left -= part
    assert not sum(moves.values()), "netting adds nothing"
    return moves


def _order(item: OpenItem) -> tuple[int, int, LineKey]:
    return (_CLOSED_FIRST[item.key.kind], item.key.period, item.key)


def pass_claims(
    items: Iterable[OpenItem], successors: Mapping[ProviderId, ProviderId]
) -> tuple[dict[LineKey, int], tuple[tuple[LineKey, LineKey], ...]]:
    """Move the open items of providers whose claims lawfully passed to their successors.

    Shape: (signed kopecks by item, pairs of old and new key). Source: ЖК РФ ст. 155 ч. 18 for who may succeed.
    """
    moves: dict[LineKey, int] = {}
    pairs = []
    for item in items:
        successor = successors.get(item.key.provider)
        if successor is not None and item.due_kopecks:
            new = item.key._replace(provider=successor)
            moves[item.key] = moves.get(item.key, 0) - item.due_kopecks
            moves[new] = moves.get(new, 0) + item.due_kopecks
            pairs.append((item.key, new))
    return moves, tuple(pairs)
