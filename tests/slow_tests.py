"""Tests that `make test` leaves out, because another test shows the same kind: `make test-all` runs every test."""

from __future__ import annotations

import math
import re
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from airflow_provider_segexport.vendors.registry import VENDORS as REGISTERED

SLOW_TESTS = (
    r"bench/test_bench\.py::test_a_round_brings_every_figure",
    r"bench/test_bench\.py::test_an_export_whose_state_is_on_a_slow_store",
    r"docs/test_simulator_in_ci\.py::test_(a_dag_is_tested_at_every_vendor|no_test_sees)",
    r"docs/test_cookbook\.py::test_ci_with_the_simulator",
    r"chaos/test_model\.py::test_a_planted_bug_is_caught\[(?!a suppression|a field|a repair|an undo|two runs)",
    r"airflow/test_kills\.py::test_killed_between_calls_the_next_try_sends_the_rest",
    r"airflow/test_failures\.py::TestDisk::test_a_full_disk_is_named_and_the_next_try_goes_on\[(?!0-28)",
    r"vendors/test_quota\.py::test_four_processes_share_one_accounts_quota\[(?!file)",
    r"airflow/test_person_in_s3\.py::test_the_ledger_that_is_left",
    r"airflow/test_person\.py::test_an_erased_person_who_returns_is_put_in_again\[(?!dotdigital)",
    r"airflow/test_canary\.py::test_a_run_at_debug\[(?!omnisend)",
    r"vendors/test_lost_journal\.py::test_plan_and_journal_that_are_both_lost\[.*s3",
    r"vendors/test_lost_journal\.py::test_a_lost_journal_sends_nothing_until_the_repair\[s3",
    r"vendors/test_journal_in_store\.py::test_a_journal_that_fails\w*\[(?!campaign_monitor-[034]|omnisend-[25])",
    r"vendors/test_damaged_state\.py::test_a_damaged_file_gives_our_own_error\w*\[(?!replaced)",
    r"ui/test_person_page\.py::test_500_audiences",
    r"ui/test_lineage\.py::test_no_person",
    r"vendors/test_damaged_files\.py::test_every_file",
    r"vendors/test_odd_hosts\.py::test_no_call_leaves_the_server_of_the_connection\[(?!constant_contact)",
    r"airflow/test_canary_of_commands\.py::test_commands_at_debug\[(?!omnisend)",
    r"airflow/test_canary_of_commands\.py::test_a_probe_at_debug\[(?!dotdigital)",
    r"airflow/test_canary_of_commands\.py::test_a_notifier_at_debug\[(?!failure-omnisend)",
    r"core/test_rate_limiter\.py::test_the_more_calls_a_window_takes_the_more_parts_it_has\[(postgresql|redis)",
    r"core/test_rate_limiter\.py::test_a_window_that_takes_many_calls_is_used_in_parts\[(postgresql|redis)",
    r"airflow/test_canary\.py::test_a_run_that_succeeds",
    r"airflow/test_person_in_s3\.py::test_a_person_is_in_no_object_afterwards",
    r"airflow/test_undo\.py::test_it_goes_on_after_it_has_waited",
    r"chaos/test_model\.py::test_an_undo_is_what_the_model_says",
    r"core/test_object_storage\.py::test_of_(many_runs|two_at_once)\w*\[heedless",
    r"docs/test_cookbook_bucket\.py::test_state_and_segments_in_s3",
    r"docs/test_simulator_in_ci\.py::test_the_first_line",
    r"ui/test_lineage\.py::test_an_export_has_lineage",
    r"vendors/test_constant_contact_kills\.py::test_a_second_run",
    r"vendors/test_hostile_replies\.py::test_a_reply_of_any_size",
    r"vendors/test_withdrawn_elsewhere\.py::TestTries::test_two_exports",
    r"vendors/test_quota\.py::test_together_they_use_the_quota_up",
    r"airflow/test_prune\.py::test_an_export_to_a_bucket_removes_there",
    r"airflow/test_runs_commands\.py::test_a_bucket",
    r"core/test_object_storage\.py::test_a_(crash_while_writing|process_suspended|store_that_does_not_answer)\w*\[heedless",
)
"""Tests of several seconds."""
SLOW = re.compile("|".join(SLOW_TESTS))

VENDORS = tuple(REGISTERED)
ONE_VENDOR = re.compile(
    r"tests/(airflow|chaos|dags|docs|hooks|ui|vendors)/(?!test_(campaign_monitor|constant_contact|contract|dotdigital|exports"
    r"|omnisend|optional_fields|spec_checks)\w*\.py)"
    r"|airflow/test_exports\.py::test_a_second_run"
    r"|vendors/test_contract\.py::test_a_call_that_breaks_off"
)
"""Tests of a run's steps, or of Airflow's part of it, which no vendor's module takes part in: one vendor each, another
from test to test. Other tests of `airflow/test_exports.py` and `vendors/test_contract.py` run every vendor."""

SAMPLED = {
    r"tests/(airflow|chaos|vendors)/(?!test_(contract|exports)\.py)": 6,
    r"tests/core/test_(address_spelling|bucket_folders|clean_values|column_names|column_types|damaged_quota_file"
    r"|damaged_records|date_formats|fencing_model|names_of_copies|object_storage|parquet_files|proof|quota_clocks"
    r"|suppression|suppression_digests|table_folders)\.py": 3,
    r"tests/ui/": 3,
}
"""Tests of which each case is a whole run, a file that is read, or a page. One case remains of so many."""

SAMPLES = {
    r"hooks/test_connection_mistakes\.py::test_an_extra_of_any_type": 4,
    r"airflow/test_segments_in_s3\.py::test_a_store_that_fails_for_a_while": 9,
    r"chaos/test_invariants\.py::test_calm_days_break_nothing": 3,
    r"chaos/test_model\.py::test_a_sequence_in_which_model_and_product_once_differed": 12,
    r"vendors/test_damaged_state\.py::test_a_file_that_is_cut_empty_or_gone": 3,
    r"vendors/test_damaged_state\.py::test_a_folder_or_link": 8,
    r"vendors/test_probe_then_export\.py::test_exports_after_an_answer": 8,
    r"vendors/test_damaged_files\.py::test_the_audience_of_a_run_that_has_no_plan_yet": 6,
    r"vendors/test_power_loss\.py::test_the_promises_hold_after_a_loss_of_power": 4,
    r"core/test_quota_clocks\.py::test_any_order_of_calls": 3,
    r"vendors/test_probe\.py::test_a_killed_probe": 3,
    r"vendors/test_lost_journal\.py::test_a_lost_journal_sends_nothing_until_the_repair": 4,
    r"vendors/test_omnisend_tag_kills\.py::test_a_worker_that_dies_at_any_call": 12,
    r"vendors/test_omnisend_tag_kills\.py::test_damaged_notes_stop_the_audience_until_they_are_repaired": 3,
    r"vendors/test_omnisend_tag_experiment\.py::test_a_damaged_record": 4,
    r"core/test_delays\.py::test_every_vendors_refusal": 7,
    r"core/test_endpoints\.py::test_no_url_of_two_hosts": 5,
    r"core/test_group_commit_faults\.py::test_a_kill_at_any_write": 3,
    r"core/test_table_folders\.py::test_table_folders_are_refused": 3,
    r"core/test_phone_number\.py::test_every_country_s_example": 5,
    r"core/test_impossible_allowances\.py::test_no_header_stops_the_account": 3,
    r"core/test_suppression_digests\.py::test_a_padded_text": 6,
    r"core/test_suppression_digests\.py::test_a_text_that_is_no_address_is_not_a_digest": 6,
    r"core/test_vendor_clocks\.py::test_a_date_that_means_nothing": 3,
}
"""Tests of one function that differ in the moment or kind of a fault: of so many cases, one remains."""


FAST = re.compile(
    r"core/(?!test_(backfill_quota|bucket_folders|damaged_quota_file|damaged_records|fencing_model|folder_reader|lease|lease_files"
    r"|lease_renewal|large_cells|object_storage|quota_clocks|rate_limiter|rate_limit_stores|reading_faults|remaining_quota"
    r"|names_of_copies|replaced_files|snapshots|table_folders)\.py)"
    r"|vendors/test_(bad_input|campaign_monitor|connections|constant_contact|constant_contact_imports|dotdigital"
    r"|dotdigital_imports|omnisend|omnisend_batches|omnisend_items|optional_fields|optouts|spec_checks|timestamps)\.py"
)
"""Modules of `make test-fast`."""

NOT_FAST = re.compile(
    r"core/("
    r"test_phone_number\.py::test_(any_texts|a_text_that_is_no_number|rows_keep|a_result_is_always)"
    r"|test_arrow\.py::test_texts|test_column_names\.py::test_(twenty_thousand|unmapped_columns_of_any_name)"
    r"|test_parquet_files\.py::test_(every_name|five_thousand|what_is|folders_with|patterns_match)"
    r"|test_table_folders\.py::test_(table_folders|files_inside)|test_names_of_copies\.py::test_what_is"
    r"|test_clean\.py::test_every_row|test_clean_values\.py::test_the_machine_s_zone|test_encode\.py::test_any_text"
    r"|test_response_limits\.py::test_a_(response_that_comes|gzip)|test_row_hash\.py::test_one_hash"
    r"|test_suppression\.py::test_(a_long_text|a_file_whose_address_column|an_entry_(suppresses|that_a_list))"
    r"|test_suppression_digests\.py::test_(a_single_digest|a_padded_text|a_text_that_is_no|hashes_in_base64)"
    r"|test_address_spelling\.py::test_a_(local_part|vendor_s)"
    r"|test_email_address\.py::test_(what_the_pattern|email_validator_is|what_is_known)"
    r"|test_partition_columns\.py::test_a_path_in_a_bucket|test_person\.py::test_a_file_loses"
    r"|test_journal_rewrite\.py::test_a_kill|test_group_commit\.py::test_a_long_journal"
    r"|test_engine\.py::test_an_(export_imports|engine_spills)|test_plan_code\.py::test_random"
    r"|test_(next_version|impossible_allowances)\.py::|test_consent\.py::test_an_answer_of_16"
    r"|test_parquet_files\.py::test_parquet_is_known|test_parquet_tables\.py::test_an_interpreter)"
    r"|vendors/("
    r"test_constant_contact_imports\.py::Test(Polling::test_pages|Size::test_a_full_plan)"
    r"|test_constant_contact\.py::TestCustomFields::test_more|test_connections\.py::test_calls_in_flight"
    r"|test_omnisend\.py::test_a_segment_on)"
)
"""Tests of those modules that take about a second or more."""


def not_fast(names: Iterable[str]) -> Iterator[str]:
    """Yield the names of the tests that `make test-fast` leaves out."""
    return (name for name in names if NOT_FAST.search(name) or not FAST.search(name))


def left_out(names: Iterable[str]) -> Iterator[str]:
    """Yield the names of the tests that `make test` leaves out; the choice depends only on the names."""
    by_case: dict[tuple[str, str], list[str]] = defaultdict(list)
    by_test: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name in names:
        test, _, values = name.partition("[")
        if SLOW.search(name):
            yield name
        elif ONE_VENDOR.search(name) and values:
            others = "-".join(value for value in values.rstrip("]").split("-") if value not in VENDORS)
            by_case[test, others].append(name)
        else:
            by_test[test, _sample(name)].append(name)
    for (test, others), cases in by_case.items():
        remaining = sorted(cases)[_number(test + others) % len(cases)]
        by_test[test, _sample(remaining)].append(remaining)
        yield from (name for name in cases if name != remaining)
    for (_, sample), cases in by_test.items():
        remaining_cases = math.ceil(len(cases) / sample)
        yield from sorted(cases, key=lambda name: (_number(name), name))[remaining_cases:]


def _sample(name: str) -> int:
    """Return of how many cases of a test one remains."""
    return next((of for pattern, of in {**SAMPLES, **SAMPLED}.items() if re.search(pattern, name)), 1)


def _number(text: str) -> int:
    return zlib.crc32(text.encode())


if __name__ == "__main__":  # the modules of `make test-fast`, so that pytest does not import the others
    paths = sorted(Path(__file__).parent.glob("*/test_*.py"))
    sys.stdout.write(" ".join(str(path) for path in paths if FAST.search(str(path))))
