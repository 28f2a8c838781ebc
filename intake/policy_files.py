"""Files of splitting policies: a JSON array of versions, each as `engine/policy.py` has it. Taken whole or not at all.

A version, once added, is never changed: the next one has the next number.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from engine.policy import Commission, SplitPolicy
from intake.master_files import Known


class PolicyFile(msgspec.Struct, frozen=True):
    """What a file says, and what is wrong with it, named by place. With any fault nothing of it may be added."""

    policies: tuple[SplitPolicy, ...]
    faults: tuple[str, ...]


def write_policies(policies: Iterable[SplitPolicy]) -> bytes:
    """Print policies as a file: agreements in order, versions in order."""
    ordered = sorted(policies, key=lambda policy: (policy.agreement, policy.version))
    return msgspec.json.format(msgspec.json.encode(ordered, order="deterministic")) + b"\n"


def read_policies(content: bytes) -> PolicyFile:
    """Read a file: form, unknown fields (a misspelt one would be a rule that is not there), order of dates."""
    try:
        given = msgspec.json.decode(content, type=list[dict[str, Any]])
        policies = tuple(msgspec.convert(given, list[SplitPolicy]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return PolicyFile((), (str(error),))
    wrong = [f"{_place(number, p)}: {text}" for number, p in enumerate(policies, 1) for text in _faults(p)]
    wrong += [f"policy {number}: {text}" for number, fields in enumerate(given, 1) for text in _unknown(fields)]
    return PolicyFile(policies, tuple(wrong))


def _place(number: int, policy: SplitPolicy) -> str:
    return f"policy {number} ({policy.agreement} version {policy.version})"


def _unknown(fields: dict[str, Any]) -> Iterator[str]:
    yield from (f"there is no field {name!r}" for name in fields.keys() - set(SplitPolicy.__struct_fields__))
    fee = fields.get("commission") or {}
    yield from (f"there is no field {name!r} of commission" for name in fee.keys() - set(Commission.__struct_fields__))


def _faults(policy: SplitPolicy) -> Iterator[str]:
    if not policy.agreement.strip() or policy.version < 1:
        yield "an agreement has a name, and its versions count from 1"
    if policy.valid_to is not None and policy.valid_to < policy.valid_from:
        yield "valid_to is before valid_from"
    fee = policy.commission
    if fee is not None and not (0 <= fee.rate_bp <= 10_000 and fee.min_kopecks >= 0):
        yield "a commission has a rate of 0 to 10000 hundredths of a percent and no negative minimum"
    if fee is not None and fee.max_kopecks is not None and fee.max_kopecks < fee.min_kopecks:
        yield "a commission's maximum is below its minimum"


def review_policies(file: PolicyFile, present: Sequence[SplitPolicy], known: Known) -> list[str]:
    """Tell what cannot be added beside what is there: another text for a version, references to nothing."""
    there = {(policy.agreement, policy.version): policy for policy in present}
    wrong = []
    for number, policy in enumerate(file.policies, 1):
        if there.setdefault((policy.agreement, policy.version), policy) != policy:
            wrong.append(f"{_place(number, policy)}: that version has another text; give the next number")
        missing: set[str] = set(policy.segregated_services - known.services)
        missing |= {*policy.blocked_providers, *policy.redirect_providers.values()} - known.providers
        wrong += [f"{_place(number, policy)}: {code!r} is not known here" for code in sorted(missing)]
    return wrong
