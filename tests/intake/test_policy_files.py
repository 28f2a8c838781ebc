"""Files of splitting policies: a version is added once and never changed; a misspelt rule is not silently none."""

import datetime

import msgspec
import pytest

from engine.ids import ProviderId, ServiceCode
from engine.policy import Commission, CommissionMode, PolicyCode, SplitPolicy
from intake.master_files import Known
from intake.policy_files import read_policies, review_policies, write_policies

POLICY = SplitPolicy(
    agreement="main",
    code=PolicyCode.FIFO,
    version=1,
    valid_from=datetime.date(2026, 1, 1),
    segregated_services=frozenset({ServiceCode("KAPREM")}),
    redirect_providers={ProviderId("P1"): ProviderId("P2")},
    priority=(("HEAT",), ("GAS", "WASTE")),
    commission=Commission(mode=CommissionMode.WITHHELD, rate_bp=150),
)
NEXT = msgspec.structs.replace(POLICY, version=2, valid_from=datetime.date(2026, 7, 1))
KNOWN = Known(services=frozenset({"KAPREM"}), providers=frozenset({"P2"}))


def test_policies_are_read_as_they_were_written() -> None:
    content = write_policies([NEXT, POLICY])
    file = read_policies(content)
    assert (file.policies, file.faults) == ((POLICY, NEXT), ())
    assert write_policies(file.policies) == content


FAULTY = [
    (b"", "truncated"),
    (b"{}", "array"),
    (b"[1]", "object"),
    (b"\xff", "malformed"),
    (write_policies([POLICY]).replace(b"limitation_applies", b"limitation_aplies"), "no field 'limitation_aplies'"),
    (write_policies([POLICY]).replace(b"rate_bp", b"rate_pb"), "rate_bp"),
    (write_policies([POLICY]).replace(b"min_kopecks", b"min"), "no field 'min' of commission"),
    (write_policies([msgspec.structs.replace(POLICY, version=0)]), "count from 1"),
    (write_policies([msgspec.structs.replace(POLICY, valid_to=datetime.date(2025, 1, 1))]), "valid_to is before"),
    (write_policies([POLICY]).replace(b"150", b"15000"), "rate of 0 to 10000"),
    (write_policies([POLICY]).replace(b"fifo", b"lifo"), "lifo"),
]


@pytest.mark.parametrize(("content", "fault"), FAULTY)
def test_a_faulty_file_adds_nothing(content: bytes, fault: str) -> None:
    (told,) = read_policies(content).faults
    assert fault in told


def test_a_version_with_another_text_is_refused() -> None:
    edited = msgspec.structs.replace(POLICY, limitation_applies=False)
    file = read_policies(write_policies([edited]))
    assert review_policies(file, [POLICY], KNOWN) == [
        "policy 1 (main version 1): that version has another text; give the next number"
    ]
    assert review_policies(read_policies(write_policies([POLICY, NEXT])), [POLICY], KNOWN) == []


def test_a_policy_names_only_services_and_providers_that_there_are() -> None:
    told = review_policies(read_policies(write_policies([POLICY])), [], Known())
    assert told == [f"policy 1 (main version 1): '{code}' is not known here" for code in ("KAPREM", "P2")]
