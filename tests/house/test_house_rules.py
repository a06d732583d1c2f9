"""Rules for every module of the repository for which no linter has one."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "airflow_provider_segexport"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(REPO / "dags").rglob("*.py")])
OTHER_FOLDERS = ("benchmarks", "compose", "docs", "scripts", "tests")
ALL_SOURCES = [*SOURCES, *sorted(path for folder in OTHER_FOLDERS for path in (REPO / folder).rglob("*.py"))]
CORE = [path for path in SOURCES if path.is_relative_to(PACKAGE) and "simulator" not in path.parts]

MOST_LINES = 300
MOST_FUNCTION_LINES = 50
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "process", "handle"}
HEAVY = {"pandas", "numpy", "pyarrow", "duckdb", "requests", "email_validator", "airflow", "tenacity", "sqlalchemy"}
FOREIGN_PATHS = re.compile(r"/(work|home|root|Users)/\w|[a-z]+://\S+/simple\b|[a-z]+://[^/\s]*(registry|artifactory)")


def named(path: Path) -> str:
    return str(path.relative_to(REPO))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_module_is_longer_than_300_lines():
    """A module that grows past a few screens holds two nouns; a test module, two topics."""
    lengths = {named(path): len(path.read_text().splitlines()) for path in ALL_SOURCES}
    assert {} == {name: lines for name, lines in lengths.items() if lines > MOST_LINES}


def test_no_function_is_longer_than_50_lines():
    """A function fits on a screen, with its decorators and its docstring."""
    assert [] == [
        f"{named(path)}:{node.lineno} {node.name}"
        for path in ALL_SOURCES
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > MOST_FUNCTION_LINES
    ]


def test_a_module_is_named_by_the_noun_it_holds():
    """A module called `utils` says nothing of what is in it."""
    assert [] == [named(path) for path in SOURCES if path.stem in EMPTY_NAMES or path.parent.name in EMPTY_NAMES]


@pytest.mark.parametrize(
    "code", ["import airflow_provider_segexport", "from airflow_provider_segexport import __version__"]
)
def test_importing_the_package_imports_nothing_heavy(code):
    """Every Airflow process imports the package, to find out what it provides."""
    script = f"import sys; {code}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True)
    assert set() == HEAVY & set(done.stdout.split())


def test_provider_info_imports_nothing_heavy():
    """Provider discovery reads metadata only."""
    script = (
        "import sys; from airflow_provider_segexport import get_provider_info; get_provider_info();"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True)
    assert set() == HEAVY & set(done.stdout.split())


def test_only_vendors_know_which_vendor_it_is():
    """Differences between vendors are data: no module above compares names."""
    compared = []
    for path in CORE:
        if "vendors" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                literal = any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))
                if literal and any(side.endswith(("vendor", "vendor.name", "conn_type")) for side in sides):
                    compared.append(f"{named(path)}:{node.lineno} {ast.unparse(node)}")
            elif isinstance(node, ast.Match) and ast.unparse(node.subject).endswith(("vendor", "vendor.name")):
                compared.append(f"{named(path)}:{node.lineno} match {ast.unparse(node.subject)}")
    assert [] == compared


def test_a_vendor_imports_no_other_vendor():
    """Code that vendors share is in the modules beside their packages."""
    vendors = PACKAGE / "vendors"
    names = {path.parent.name for path in vendors.glob("*/__init__.py")}
    crossing = [
        f"{named(path)} imports {name}"
        for path in sorted(vendors.glob("*/*.py"))
        for name in sorted(names - {path.parent.name})
        if re.search(rf"\bvendors(\.| import .*\b){name}\b", path.read_text())
    ]
    assert len(names) > 1
    assert [] == crossing


def test_no_file_knows_the_machine_it_was_written_on():
    """No file of the repository holds a path of a developer's machine or a package registry's address."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True, check=True)
    lines = []
    for name in filter(None, listed.stdout.split("\0")):
        path = REPO / name
        if path == Path(__file__) or not path.is_file() or path.suffix in {".png", ".parquet", ".gz", ".lock"}:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if FOREIGN_PATHS.search(line):
                lines.append(f"{name}:{number} {line.strip()[:100]}")
    assert [] == lines


def test_files_are_read_through_the_function_that_opens_no_pipe():
    """To open a pipe blocks for ever. `frames` reads what it has just written; pages and limits read the package's."""
    opens = re.compile(r"""\.open\(["']rb?["']\)|\.read_(bytes|text)\(""")
    own = {"storage/opening.py", "storage/files.py", "hooks/frames.py", "plugins/pages.py"}
    system = {"ratelimit/clocks.py", "segment_files/memory.py"}
    reading = {str(path.relative_to(PACKAGE)) for path in CORE if opens.search(path.read_text())}
    assert reading - own - system == set()


def test_names_in_the_folders_of_the_import_path_are_distinct():
    """Tests have several folders in the import path; of two modules of one name only one can be imported."""
    folders = [REPO / name for name in ("tests", "dags", "scripts", "benchmarks")]
    names = [
        path.stem
        for folder in folders
        for path in folder.iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    ]
    assert set() == {name for name in names if names.count(name) > 1} - {"conftest"}
