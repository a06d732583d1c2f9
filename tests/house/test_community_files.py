"""Workflows, forms and the devcontainer: valid, pinned, with few rights, and calling what the Makefile has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import matrix

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
GITHUB = REPO / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
TARGETS = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def steps(path: Path) -> list[dict]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


def run(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run([str(part) for part in command], cwd=REPO, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("custom.github-workflows-require-timeout", WORKFLOWS),
        ("vendor.github-issue-forms", FORMS),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
    ],
)
def test_files_for_github_match_their_schemas(schema, files):
    """GitHub ignores a form or a workflow that it cannot read, without a message in the repository."""
    code, output = run(BIN / "check-jsonschema", "--builtin-schema", schema, *files)
    assert 0 == code, output


def test_actionlint_has_no_message():
    """Actionlint also checks expressions and contexts, where the machine has it."""
    program = shutil.which("actionlint", path=BIN) or shutil.which("actionlint")
    if program is None:
        pytest.skip("actionlint is not installed")
    code, output = run(program, *WORKFLOWS)
    assert 0 == code, output


def test_the_workflows_are_the_four_that_contributing_names():
    """check, test, matrix and docs, each named like its file."""
    names = {path.stem: yaml.safe_load(path.read_text())["name"] for path in WORKFLOWS}
    assert {name: name for name in ("check", "docs", "matrix", "test")} == names
    assert [] == [name for name in names if f"*{name}*" not in (REPO / "CONTRIBUTING.md").read_text()]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_the_code(path):
    """No job widens the rights, reads a secret, stores the checkout's token, or runs a fork's code with rights."""
    workflow = yaml.safe_load(path.read_text())
    triggers = workflow[True]  # YAML 1.1 reads the key `on` as a boolean
    assert {"contents": "read"} == workflow["permissions"]
    assert [] == [name for name, job in workflow["jobs"].items() if "permissions" in job]
    assert set(triggers) <= {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert "secrets" not in path.read_text()
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert [False] * len(workflow["jobs"]) == [step["with"]["persist-credentials"] for step in checkouts]


def test_actions_are_pinned_by_commit():
    """Each action has one commit in all workflows, with its version beside it."""
    lines = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert [] == [line for line in lines if not PINNED.search(line)]
    pins = {line.split("uses:")[1].strip() for line in lines}
    assert len({pin.split("@")[0] for pin in pins}) == len(pins)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_targets_of_the_makefile(path):
    """Each command of a workflow is one that a contributor can run."""
    commands = [step["run"].split() for step in steps(path) if "run" in step]
    assert commands
    assert [] == [command for command in commands if command[0] != "make" or command[1] not in TARGETS]


def test_the_matrix_workflow_has_the_rows_of_the_matrix():
    """Airflow and Python versions are those of `make test-matrix`; the tests run on the first and the last Python."""
    rows = yaml.safe_load((GITHUB / "workflows" / "matrix.yml").read_text())["jobs"]["matrix"]["strategy"]["matrix"]
    assert {"airflow": list(matrix.AIRFLOWS), "python": list(matrix.PYTHONS)} == rows
    tests = yaml.safe_load((GITHUB / "workflows" / "test.yml").read_text())["jobs"]["test"]["strategy"]["matrix"]
    assert [matrix.PYTHONS[0], matrix.PYTHONS[-1]] == tests["python"]


def test_the_supported_versions_are_those_of_the_matrix():
    """The page on releases, the classifiers and the matrix name the same versions."""
    page = (REPO / "docs" / "releasing.md").read_text()
    assert f"| Airflow | {', '.join(matrix.AIRFLOWS)} |" in page
    assert f"| Python | {', '.join(matrix.PYTHONS)} |" in page
    classifiers = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["classifiers"]
    prefix = "Programming Language :: Python :: 3."
    assert list(matrix.PYTHONS) == [line.split(" :: ")[-1] for line in classifiers if line.startswith(prefix)]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_to_leave_personal_data_out(path):
    """Each form that takes logs, reports or responses has a required confirmation."""
    body = yaml.safe_load(path.read_text())["body"]
    takes_data = any(part.get("attributes", {}).get("render") for part in body)
    boxes = [box for part in body if part["type"] == "checkboxes" for box in part["attributes"]["options"]]
    confirmed = any(box["required"] and "no address" in box["label"] for box in boxes)
    assert confirmed or not takes_data


def test_the_devcontainer_runs_make_setup():
    """Its file is JSON, its Dockerfile exists and has no fault that hadolint detects, its Python is supported."""
    folder = REPO / ".devcontainer"
    container = json.loads((folder / "devcontainer.json").read_text())
    assert container["postCreateCommand"].split()[0] == "make"
    assert set(container["postCreateCommand"].split()[1:]) <= TARGETS
    dockerfile = folder / container["build"]["dockerfile"]
    python = re.search(r"^FROM python:(\d\.\d+)-", dockerfile.read_text(), re.MULTILINE)
    assert python
    assert python[1] in matrix.PYTHONS
    if hadolint := shutil.which("hadolint", path=BIN):
        code, output = run(hadolint, dockerfile)
        assert 0 == code, output
