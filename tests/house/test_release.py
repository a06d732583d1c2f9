"""What a release promises about itself: one version, a changelog, bounds with a reason, pins."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import trove_classifiers
from packaging.requirements import Requirement
from packaging.version import Version

from airflow_provider_segexport import __version__, get_provider_info

REPO = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
CHANGELOG = (REPO / "CHANGELOG.md").read_text()
HEADINGS = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
SETS = sorted(path.stem for path in (REPO / "requirements").glob("*.in"))
HELD_BACK = {"python-dateutil"}  # botocore, which the cluster's object storage needs, asks for one below 3
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def pins(name: str) -> dict[str, set[str]]:
    """The versions that a requirements file pins, by package: more than one where markers tell them apart."""
    found: dict[str, set[str]] = {}
    for package, version in PIN.findall((REPO / "requirements" / f"{name}.txt").read_text()):
        found.setdefault(package, set()).add(version)
    return found


def test_the_changelog_begins_with_what_is_not_released_and_falls_from_there():
    """Newest first, each release with its version and its day."""
    assert "[Unreleased]" == HEADINGS[0]
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", heading) for heading in HEADINGS[1:]]
    assert all(released)
    told = [(Version(one[1]), one[2]) for one in released if one]
    assert sorted(told, reverse=True) == told


def test_the_version_is_that_of_the_newest_release_or_the_next_one():
    """The changelog never speaks of a version that the package has not reached."""
    versions = [Version(one) for one in re.findall(r"^## \[(\d\S+)\]", CHANGELOG, re.MULTILINE)]
    assert [] == [one for one in versions if one > Version(__version__)]
    if Version(__version__) not in versions:
        unreleased = CHANGELOG.split("## [Unreleased]")[1].split("\n## ")[0]
        assert re.search(r"^- ", unreleased, re.MULTILINE), "a version that is not out yet has its changes listed"


def test_one_version_is_told_everywhere():
    """pyproject.toml reads it from the package, and Airflow is told the same."""
    assert "version" in PROJECT["dynamic"]
    assert [__version__] == get_provider_info()["versions"]
    assert str(Version(__version__)) == __version__


def test_no_option_was_added_in_the_future():
    """`version_added` is a version that there is or that comes next."""
    config = get_provider_info()["config"]
    late = {
        f"{section} {option}": told["version_added"]
        for section, found in config.items()
        for option, told in found["options"].items()
        if Version(told["version_added"]) > Version(__version__)
    }
    assert {} == late


def test_every_classifier_exists():
    """An index refuses a distribution with a classifier that it does not know."""
    assert [] == [one for one in PROJECT["classifiers"] if one not in trove_classifiers.classifiers]


def test_every_dependency_has_a_bound_and_a_reason():
    """A floor that was tried, and on the same line what the package is there for."""
    text = (REPO / "pyproject.toml").read_text()
    for one in PROJECT["dependencies"]:
        line = next(line for line in text.splitlines() if line.strip().startswith(f'"{one}"'))
        assert re.search(r'",\s+# \S', line), line
        assert any(bound.operator == ">=" for bound in Requirement(one).specifier), line


@pytest.mark.parametrize("name", SETS)
def test_every_pin_has_its_hashes(name):
    """What is installed is what was compiled, whoever serves it."""
    text = (REPO / "requirements" / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert [] == [block.split()[0] for block in blocks if PIN.match(block) and "--hash=sha256:" not in block]
    assert pins(name)


@pytest.mark.parametrize("name", ["cluster", "docs", "runtime"])
def test_all_environments_have_the_same_versions(name):
    """What is released and what runs in the cluster is what the tests ran on."""
    tested = pins("dev")
    assert {} == {
        package: (versions, tested[package])
        for package, versions in pins(name).items()
        if package in tested.keys() - HELD_BACK and versions != tested[package]
    }


def test_the_pins_lie_within_the_bounds():
    """The environment that the tests run in is one that the metadata allows."""
    held = pins("runtime")
    for one in map(Requirement, PROJECT["dependencies"]):
        assert all(version in one.specifier for version in held[one.name]), one


def test_the_oldest_versions_are_those_that_the_bounds_name():
    """`make test-matrix` runs on the floor of every bound, so that a bound is one that was tried."""
    held = pins("floor")
    wanted = {
        one.name: next(bound.version for bound in one.specifier if bound.operator == ">=")
        for one in map(Requirement, PROJECT["dependencies"])
    }
    assert {} == {
        name: (floor, held[name])
        for name, floor in wanted.items()
        if not any(f"{version}.".startswith(f"{floor}.") for version in held[name])
    }
