"""The tests that `make test` leaves out are named by patterns that fit, and leave one of each kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from slow_tests import SAMPLED, SAMPLES, SLOW_TESTS, VENDORS, left_out

TESTS = Path(__file__).resolve().parents[1]
MODULE = "tests/vendors/test_takeovers.py"


def remaining(names: list[str]) -> list[str]:
    slow = set(left_out(names))
    return [name for name in names if name not in slow]


@pytest.mark.parametrize("pattern", [*SLOW_TESTS, *SAMPLES])
def test_a_pattern_names_a_test_that_exists(pattern):
    """A test that was renamed would run again without notice."""
    path, _, test = pattern.replace("\\.", ".").partition("::")
    test = test.rpartition("::")[2]
    name = re.match(r"test_\(?(\w+)", test)[1].rstrip("_")
    assert re.search(rf"def test_{name}", (TESTS / path).read_text())


def test_the_sampled_modules_exist():
    """A module that was renamed would run whole again without notice."""
    [modules] = re.findall(r"tests/core/test_\((.+?)\)", " ".join(SAMPLED))
    assert [] == [name for name in modules.split("|") if not (TESTS / f"core/test_{name}.py").exists()]


def test_one_vendor_remains_for_each_case():
    """A sixth of the cases that differ in anything else remains; a test without cases stays."""
    cases = [f"{MODULE}::test_a[{vendor}-{way}]" for vendor in VENDORS for way in range(12)]
    assert 2 == len(remaining(cases)) == len({name.split("-")[-1] for name in remaining(cases)})
    plain = [f"{MODULE}::test_b", f"{MODULE}::test_c"]
    assert plain == remaining(plain)


def test_what_every_vendor_must_do_is_tested_at_each():
    """The contract test and the exports by real DAG runs are not sampled."""
    for module in ("vendors/test_contract", "airflow/test_exports"):
        cases = [f"tests/{module}.py::test_a[{vendor}]" for vendor in VENDORS]
        assert cases == remaining(cases)


def test_all_vendors_take_part():
    """Which vendor remains differs from test to test, and not from run to run."""
    cases = [f"{MODULE}::test_{number}[{vendor}]" for number in range(40) for vendor in VENDORS]
    assert set(VENDORS) == {name.partition("[")[2].rstrip("]") for name in remaining(cases)}
    assert remaining(cases) == [name for name in cases if name in set(remaining(cases[::-1]))]


def test_a_sample_remains_of_each_function():
    """About one in so many, and at least one."""
    for pattern, of in SAMPLES.items():
        name = pattern.replace("\\", "")
        cases = [f"tests/{name}[{way}-{number}]" for way in ("dotdigital", "omnisend", "s3") for number in range(8)]
        assert 1 <= len(remaining(cases)) <= 2 * len(cases) / of
