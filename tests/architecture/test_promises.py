"""The promises of the design, each with the tests that go red when the code that keeps it is broken."""

import pytest

from tests.architecture.source_tree import functions, sources

PROMISES: dict[str, tuple[str, ...]] = {
    "1. an acknowledged payment is durable": (
        "tests/gateways/processors/test_conformance.py:test_a_repeat_beside_the_first_waits_for_the_same_commit",
        "tests/actors/test_shard.py:test_nobody_is_told_before_the_commit",
        "tests/actors/test_shard.py:test_an_uncertain_commit_ends_the_shard_and_its_successor_tells_the_truth",
        "tests/simulation/test_simulation.py:test_every_promise_holds_in_every_seed",
        "tests/simulation/test_simulation.py:test_acknowledging_before_the_commit_goes_red",
    ),
    "2. a payment counts once": (
        "tests/actors/test_shard.py:test_a_repeat_gets_the_first_receipt_and_adds_nothing",
        "tests/actors/test_shard.py:test_a_repeat_beside_the_first_one_waits_for_its_receipt",
        "tests/actors/test_shard.py:test_another_content_under_a_used_key_is_a_conflict",
        "tests/actors/test_shard.py:test_a_key_taken_through_another_shard_harms_that_payment_only",
        "tests/storage/test_journal_contract.py:test_a_key_counts_once_across_shards_and_its_batch_writes_nothing",
        "tests/simulation/test_simulation.py:test_forgetting_the_key_goes_red",
        "tests/actors/test_client.py:test_once_in_doubt_only_the_ledger_ends_the_doubt",
        "tests/gateways/processors/test_conformance.py:test_a_hundred_equal_payments_at_once_are_one_credit",
        "tests/gateways/processors/test_conformance.py:test_one_number_for_other_content_is_a_conflict",
        "tests/gateways/processors/test_conformance.py:test_with_no_way_to_the_shards_a_repeat_counts_once",
    ),
    "3. every kopeck has a place": (
        "tests/engine/test_allocation.py:test_the_published_vector_comes_out",
        "tests/storage/test_audit.py:test_an_honest_ledger_is_clean",
        "tests/storage/test_audit.py:test_a_row_changed_by_hand_is_named",
    ),
    "4. history is never edited": (
        "tests/storage/test_journal_contract.py:test_the_database_itself_refuses_to_edit_history",
        "tests/storage/test_journal_contract.py:test_the_hash_chain_is_computed_again_from_the_rows",
    ),
    "5. one writer per account": (
        "tests/storage/test_journal_contract.py:test_an_append_of_an_old_epoch_is_refused_and_writes_nothing",
        "tests/storage/test_journal_contract.py:test_a_zombie_that_wakes_after_its_successor_wrote_is_refused_too",
        "tests/storage/test_journal_contract.py:test_the_database_itself_refuses_events_from_nowhere",
        "tests/actors/test_client.py:test_answers_of_an_older_epoch_are_not_believed",
        "tests/actors/test_channel.py:test_an_answer_of_a_replaced_owner_is_not_heard",
        "tests/simulation/test_simulation.py:test_without_the_fence_the_auditor_goes_red",
        "tests/simulation/test_simulation.py:test_trusting_answers_of_an_old_term_goes_red",
    ),
    "6. what is derived can be thrown away": (
        "tests/actors/test_shard.py:test_evicted_accounts_are_read_again_as_they_were",
        "tests/storage/test_journal_contract.py:test_cold_accounts_are_read_from_snapshot_and_events_after_it",
    ),
    "7. bad input costs nothing": (
        "tests/actors/test_shard.py:test_good_neighbours_of_a_refused_payment_are_taken",
        "tests/gateways/test_osmp_bad_input.py:test_bad_input_costs_nothing",
        "tests/gateways/processors/test_bisys.py:test_an_attack_costs_nothing",
        "tests/gateways/processors/test_conformance.py:test_amounts_that_are_none_cost_nothing",
        "tests/gateways/processors/test_fuzzing.py:test_broken_requests_find_no_bug_and_pay_nothing",
        "tests/gateways/test_json_bad_input.py:test_it_is_refused_and_leaves_no_trace",
        "tests/gateways/test_json_bad_input.py:test_in_a_batch_it_harms_no_neighbour",
        "tests/actors/test_channel.py:test_garbage_ends_its_connection_only",
        "tests/fuzz/test_doors.py:test_broken_requests_cost_nothing",
        "tests/fuzz/test_files.py:test_a_broken_file_is_read_or_refused",
    ),
}


def _present() -> set[str]:
    return {f"{source.path}:{function.name}" for source in sources("tests") for function in functions(source)}


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_is_defended_by_tests_that_exist(promise: str) -> None:
    assert [test for test in PROMISES[promise] if test not in _present()] == []


def test_all_seven_promises_are_here() -> None:
    assert [promise[0] for promise in PROMISES] == list("1234567")
