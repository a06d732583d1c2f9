"""The documentation holds: links lead somewhere, code parses, commands, options and errors exist."""

from __future__ import annotations

import ast
import builtins
import configparser
import functools
import importlib
import inspect
import itertools
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from airflow import sdk
from airflow.cli.cli_parser import airflow_commands
from docs.messages import texts
from docs.pages import DOCS, REPO, Block, blocks, pages

from airflow_provider_segexport import get_provider_info
from airflow_provider_segexport.cli import get_commands
from airflow_provider_segexport.hooks.options import EXPORT, VERIFY
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.simulator import Simulator

sys.path.insert(0, str(REPO / "scripts"))
import docs_site

PAGES = pages()
SIMULATOR = REPO / "airflow_provider_segexport" / "simulator" / "README.md"
BLOCKS = [block for page in PAGES for block in blocks(page)]
LANGUAGES = {"console", "eval-rst", "ini", "json", "provider", "python", "text", "toctree", "toml", "yaml"}
OPERATORS = {f"SegmentExport{name}Operator" for name in ("", "Undo", "Verify", "Erase")}
OTHERS = {"curl", "docker", "echo", "export", "git", "helm", "kill", "pip"}
"""Commands that are not ours to look up."""


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def anchors(page: Path) -> set[str]:
    """Fragments that a link into a page may name, as GitHub and MyST make them."""
    headings = re.findall(r"^#{1,4} (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, SIMULATOR], ids=lambda page: str(page.relative_to(REPO)))
def test_every_link_inside_the_repository_leads_somewhere(page):
    """To a file or a folder that is there, and to a heading in it where it names one."""
    dead = []
    for _, _, target, anchor in docs_site.LINK.findall(page.read_text()):
        path = (page.parent / target).resolve()
        if not path.exists() or (anchor and path.suffix == ".md" and anchor[1:] not in anchors(path)):
            dead.append(target + anchor)
    assert [] == dead


def test_every_page_is_on_the_site():
    """A reader does not reach a page that no table of contents names."""
    named = {DOCS / f"{line}.md" for block in of("toctree") for line in block.text.splitlines() if line[:1] not in ":0"}
    inside = {page for page in PAGES if page.is_relative_to(DOCS)}
    by_pattern = set((DOCS / "decisions").glob("0*.md"))
    assert inside - by_pattern - {DOCS / "index.md"} == named - {
        DOCS / name for name in docs_site.PAGES_ELSEWHERE.values()
    }


def test_every_block_says_what_it_is():
    """A block of code without a known language is checked by nothing."""
    assert [] == [str(block) for block in BLOCKS if block.language not in LANGUAGES]


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_parses_and_names_what_there_is(block):
    """It compiles; what it imports of ours exists; an operator gets arguments that it takes."""
    tree = ast.parse(block.text)
    taken = set(inspect.signature(SegmentExportOperator.__init__).parameters) | {
        "task_id",
        "retries",
        "retry_delay",
        "retry_policy",
        "outlets",
        "inlets",
        "pool",
        "map_index_template",
        "trigger_rule",
        "execution_timeout",
        "on_failure_callback",
        "on_success_callback",
        "on_execute_callback",
        "post_execute",
        "retry_exponential_backoff",
        "max_active_tis_per_dag",
        "priority_weight",
        "doc_md",
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow_provider_segexport"):
            module = importlib.import_module(node.module)
            assert [] == [name.name for name in node.names if not hasattr(module, name.name)]
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "SegmentExportOperator",
            "SegmentExportOperator.partial",
        }:
            assert [] == [word.arg for word in node.keywords if word.arg and word.arg not in taken]


READERS_OWN = {"warehouse", "chat"}
"""Names in examples that stand for something of the reader's."""


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_an_example_uses_no_name_that_does_not_exist(block):
    """A name is defined in the example, or it is one of Airflow's or of ours that a reader can look up."""
    tree = ast.parse(block.text)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    defined = (
        {node.id for node in names if isinstance(node.ctx, ast.Store)} | READERS_OWN | {*dir(builtins), "__file__"}
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(name.asname or name.name).split(".")[0] for name in node.names}
        elif isinstance(node, ast.FunctionDef):
            defined |= {node.name, *(argument.arg for argument in ast.walk(node) if isinstance(argument, ast.arg))}
    public_names = OPERATORS | set(sdk.__all__)
    assert set() == {node.id for node in names} - defined - public_names


def commands(block: Block) -> list[list[str]]:
    """The commands in a console block, without comments and output."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [
        shlex.split(line.removeprefix("$ "), comments=True) for line in lines if line.strip() and line[0] not in "# "
    ]


def ours() -> dict[str, set[str]]:
    """The commands below `airflow segexport`."""
    return {
        command.name: {flag for argument in command.args for flag in argument.flags}
        for command in get_commands()[0].subcommands
    }


@pytest.mark.parametrize("block", of("console"), ids=str)
def test_what_is_to_be_typed_exists(block):
    """A target of the Makefile, a command of Airflow's or of ours with its options, a module of ours."""
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    for typed in filter(None, commands(block)):
        command_words = list(itertools.dropwhile(lambda word: "=" in word, typed))
        match command_words:
            case ["make", *rest]:
                assert set() == {word for word in rest if "=" not in word} - targets
            case ["airflow", "segexport", name, *rest]:
                assert set() == {word.split("=")[0] for word in rest if word.startswith("--")} - ours()[name]
            case ["airflow", *rest]:
                assert rest[0] in {airflow_command.name for airflow_command in airflow_commands}
            case ["python", "-m", module, *_] if module.startswith("airflow_provider_segexport"):
                assert importlib.util.find_spec(module)
            case ["python", script, *_] if script.endswith(".py"):
                assert (REPO / script).exists()
            case [program, *_]:
                assert program in OTHERS


@pytest.mark.parametrize("block", of("ini", "json", "yaml", "toml"), ids=str)
def test_data_parses_and_options_exist(block):
    """A block to paste is well-formed; an option of ours in it exists."""
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        yaml.safe_load(block.text)
    elif block.language == "ini":
        config = configparser.ConfigParser(interpolation=None)
        config.read_string(block.text)
        options = get_provider_info()["config"]["segexport"]["options"]
        if config.has_section("segexport"):
            assert set() == set(config["segexport"]) - set(options)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_option_in_the_text_exists(page):
    """`[segexport] name` and `AIRFLOW__SEGEXPORT__NAME` are options of the provider."""
    options = set(get_provider_info()["config"]["segexport"]["options"])
    text = page.read_text()
    named = set(re.findall(r"\[segexport\] ([a-z_]+)", text))
    named |= {name.lower() for name in re.findall(r"AIRFLOW__SEGEXPORT__([A-Z_]+[A-Z])", text)}
    assert set() == {re.sub(r"_(secret|cmd)$", "", name) for name in named} - options


def errors() -> list[str]:
    """The error texts that the troubleshooting page explains."""
    quoted = re.findall(r"^> (.+)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    return [text for text in quoted if not text.startswith("Airflow: ")]


@pytest.mark.parametrize("text", errors())
def test_an_explained_error_is_one_that_the_code_raises(text):
    """A message of the code has its parts, in their order."""
    parts = text.strip("…").split("…")
    assert any(in_order(message, parts) for message in messages())


@functools.cache
def messages() -> tuple[str, ...]:
    """The texts of the package's code, on one line each."""
    return tuple(" ".join(text.split()) for _, text in texts())


def in_order(message: str, parts: list[str]) -> bool:
    """Return whether a message has all parts, one after the other."""
    position = 0
    for part in parts:
        start = message.find(part, position)
        if start < 0:
            return False
        position = start + len(part)
    return True


def test_the_page_on_airflow_names_each_argument_that_may_be_empty():
    """Only these; any other empty value stops the run."""
    text = (DOCS / "airflow.md").read_text()
    of_export, of_verification = text.split("leave the argument out. Only ")[1].split("[Decision")[0].split("they then")
    for listed, table, others in ((of_export, EXPORT, ()), (of_verification, VERIFY, EXPORT)):
        may_be_empty = {argument.name for argument in table if argument.may_be_empty}
        assert set(re.findall(r"`(\w+)`", listed)) == may_be_empty - {
            argument.name for argument in others if argument.may_be_empty
        }


def test_the_simulators_page_has_a_row_for_each_setting():
    """With its name as the control API takes it."""
    with Simulator() as sim:
        settings = {name for account in sim.describe()["vendors"].values() for name in account["settings"]}
    rows = [line.split("|")[1] for line in SIMULATOR.read_text().splitlines() if line.startswith("|")]
    assert set() == settings - set(re.findall(r"`(\w+)`", " ".join(rows)))


def test_each_decision_has_a_number_of_its_own():
    """The number is in the file's name and in the title, so that a page can name a decision by it."""
    numbers = {path.name: int(path.name.partition("-")[0]) for path in (DOCS / "decisions").glob("0*.md")}
    assert sorted(set(numbers.values())) == sorted(numbers.values())
    titles = {name: (DOCS / "decisions" / name).read_text().partition("\n")[0] for name in numbers}
    assert {} == {name: title for name, title in titles.items() if not title.startswith(f"# {numbers[name]}. ")}
