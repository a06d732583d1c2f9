"""A release's promises about itself: one version, a changelog, bounds with a reason, pins."""

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
    versions: dict[str, set[str]] = {}
    for package, version in PIN.findall((REPO / "requirements" / f"{name}.txt").read_text()):
        versions.setdefault(package, set()).add(version)
    return versions


def test_the_changelog_begins_with_what_is_not_released_and_falls_from_there():
    """Newest first, each release with its version and its day."""
    assert "[Unreleased]" == HEADINGS[0]
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", heading) for heading in HEADINGS[1:]]
    assert all(released)
    released_versions = [(Version(match[1]), match[2]) for match in released if match]
    assert sorted(released_versions, reverse=True) == released_versions


def test_the_version_is_that_of_the_newest_release_or_the_next_one():
    """The changelog never speaks of a version that the package has not reached."""
    versions = [Version(text) for text in re.findall(r"^## \[(\d\S+)\]", CHANGELOG, re.MULTILINE)]
    assert [] == [version for version in versions if version > Version(__version__)]
    if Version(__version__) not in versions:
        unreleased = CHANGELOG.split("## [Unreleased]")[1].split("\n## ")[0]
        assert re.search(r"^- ", unreleased, re.MULTILINE), "a version that is not out yet has its changes listed"


def test_one_version_is_used_everywhere():
    """pyproject.toml reads it from the package, and Airflow gets the same."""
    assert "version" in PROJECT["dynamic"]
    assert [__version__] == get_provider_info()["versions"]
    assert str(Version(__version__)) == __version__


def test_no_option_was_added_in_the_future():
    """`version_added` is a version that there is or that comes next."""
    config = get_provider_info()["config"]
    late = {
        f"{section} {option}": option_entry["version_added"]
        for section, section_entry in config.items()
        for option, option_entry in section_entry["options"].items()
        if Version(option_entry["version_added"]) > Version(__version__)
    }
    assert {} == late


def test_every_classifier_exists():
    """An index refuses a distribution with a classifier that it does not know."""
    assert [] == [
        classifier for classifier in PROJECT["classifiers"] if classifier not in trove_classifiers.classifiers
    ]


def test_every_dependency_has_a_bound_and_a_reason():
    """A floor that was tried, and on the same line what the package is there for."""
    text = (REPO / "pyproject.toml").read_text()
    for requirement in PROJECT["dependencies"]:
        line = next(line for line in text.splitlines() if line.strip().startswith(f'"{requirement}"'))
        assert re.search(r'",\s+# \S', line), line
        assert any(bound.operator == ">=" for bound in Requirement(requirement).specifier), line


@pytest.mark.parametrize("name", SETS)
def test_every_pin_has_its_hashes(name):
    """The installed file is the compiled one, whichever server it comes from."""
    text = (REPO / "requirements" / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert [] == [block.split()[0] for block in blocks if PIN.match(block) and "--hash=sha256:" not in block]
    assert pins(name)


@pytest.mark.parametrize("name", ["cluster", "docs", "runtime"])
def test_all_environments_have_the_same_versions(name):
    """The released and the cluster's versions are those of the tests."""
    tested = pins("dev")
    assert {} == {
        package: (versions, tested[package])
        for package, versions in pins(name).items()
        if package in tested.keys() - HELD_BACK and versions != tested[package]
    }


def test_the_pins_lie_within_the_bounds():
    """The environment that the tests run in is one that the metadata allows."""
    held = pins("runtime")
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert all(version in requirement.specifier for version in held[requirement.name]), requirement


def test_the_oldest_versions_are_those_that_the_bounds_name():
    """`make test-matrix` runs on the floor of every bound, so that a bound is one that was tried."""
    held = pins("floor")
    wanted = {
        requirement.name: next(bound.version for bound in requirement.specifier if bound.operator == ">=")
        for requirement in map(Requirement, PROJECT["dependencies"])
    }
    assert {} == {
        name: (floor, held[name])
        for name, floor in wanted.items()
        if not any(f"{version}.".startswith(f"{floor}.") for version in held[name])
    }
