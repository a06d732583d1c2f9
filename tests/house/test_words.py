"""Identifiers and prose use the field's terms: a banned word fails with the plain word that replaces it.

Strings of tests other than docstrings are not checked: they are vendors' data and the product's messages.

The rooms in `ALLOWED_WORDS`, `ALLOWED_UNDOCUMENTED` and `ALLOWED_IN_CYCLES` are not clean yet. Their counts may only
fall: lower a count after each clean-up, and delete the line at zero.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from house import words
from house.words import NAMES, OPENINGS, PARTS, PHRASES, PROSE, VENDOR_TERMS

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "airflow_provider_segexport"
FOLDERS = ("airflow_provider_segexport", "benchmarks", "compose", "dags", "scripts")
SOURCES = sorted(path for folder in FOLDERS for path in (REPO / folder).rglob("*.py"))
OWN = {Path(__file__).resolve(), Path(words.__file__).resolve()}
TESTS = sorted(path for path in (REPO / "tests").rglob("*.py") if path not in OWN)
PRODUCT = [path for path in SOURCES if path.is_relative_to(PACKAGE)]
MIN_DOCUMENTED_ARGUMENTS = 3
"""A function with fewer arguments explains them in its first line."""
WORD = re.compile(r"[A-Za-z]+")
PHRASE = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)

ALLOWED_WORDS: dict[str, int] = {
    "airflow_provider_segexport": 1,  # `nobody`, a value of an option
    "export": 1,  # `kept`, a key of the report
    "plugins": 1,  # `nobody`, a value of an option
    "stages": 1,  # `KEPT`, a key of the report
}
ALLOWED_UNDOCUMENTED: dict[str, int] = {
    "hooks": 1,  # `export`, whose arguments the operator documents
}
ALLOWED_IN_CYCLES: dict[str, int] = {}
ALLOWED_ON_PAGES = {"docs/glossary.md": ["data matching"]}
"""The glossary names the term of another product."""


def room(path: Path) -> str:
    """The folder that a module counts for: a package of the provider, or a folder of the repository."""
    parts = path.relative_to(REPO).parts
    if parts[0] == PACKAGE.name and len(parts) > 2:
        return parts[1]
    return parts[0]


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Names that a module defines, with their lines: functions, classes, arguments, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def banned_names(source: str) -> Iterator[tuple[int, str]]:
    """Lines and messages of banned identifiers."""
    for line, name in identifiers(ast.parse(source)):
        plain = name.lower().strip("_")
        parts = set(re.findall("[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
        if plain in NAMES:
            yield line, f"name `{name}`: {NAMES[plain]}"
        elif banned := sorted(PARTS & parts):
            yield line, f"name `{name}`: {PROSE.get(banned[0]) or NAMES[banned[0]]}"


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Lines and texts of docstrings, also of attributes and constants."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def banned_prose(source: str, *, in_strings: bool = True) -> Iterator[tuple[int, str]]:
    """Lines and messages of banned words in comments, docstrings and, unless excluded, other strings."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    documented = {line for line, _ in docstrings(source)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in kinds:
            continue
        if not in_strings and token.type != tokenize.COMMENT and token.start[0] not in documented:
            continue
        for match in WORD.finditer(token.string):
            if replacement := PROSE.get(match[0].lower()):
                yield token.start[0] + token.string[: match.start()].count("\n"), f"word `{match[0]}`: {replacement}"
        for match in PHRASE.finditer(token.string):
            line = token.start[0] + token.string[: match.start()].count("\n")
            yield line, f"phrase `{match[0]}`: {PHRASES[match[0].lower()]}"
    for line, text in docstrings(source):
        if opening := OPENINGS.match(text):
            yield line, f"a docstring opens with `{opening[1]}`: begin with a verb, or with the noun"


def banned_words(path: Path, source: str | None = None, *, in_strings: bool = True) -> list[str]:
    """Every banned word of a module, with its place and what replaces it."""
    source = path.read_text() if source is None else source
    name = str(path.relative_to(REPO))
    allowed = {word for folder, word in VENDOR_TERMS if name.startswith(folder)}
    messages = sorted([*banned_names(source), *banned_prose(source, in_strings=in_strings)])
    return [
        f"{name}:{line} {text}"
        for line, text in messages
        if not any(re.search(rf"`_?{word}`", text) for word in allowed)
    ]


def public_functions(
    body: Sequence[ast.stmt], class_text: str = ""
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Functions, methods and constructors of public names, with their docstrings; a class describes its constructor."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, ast.get_docstring(node) or "")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            if node.name == "__init__":
                yield node, f"{class_text}\n{text}"
            elif not node.name.startswith("_"):
                yield node, text


def undocumented(path: Path, source: str | None = None) -> list[str]:
    """Arguments of a public function or class with three or more arguments that its docstring does not describe."""
    missing = []
    for node, docstring in public_functions(ast.parse(path.read_text() if source is None else source).body):
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = [arg.arg for arg in given if arg.arg not in {"self", "cls"} and not arg.arg.startswith("_")]
        lacking = [name for name in names if not re.search(rf"^\s*{name}(?: \(.*?\))?:", docstring, re.MULTILINE)]
        if len(names) >= MIN_DOCUMENTED_ARGUMENTS and lacking:
            missing.append(f"{path.relative_to(REPO)}:{node.lineno} {node.name} ({', '.join(lacking)})")
    return missing


def banned_on_page(text: str) -> list[str]:
    """Banned words and phrases of a page, without its inline code and the targets of its links, which are names."""
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
    names = [word for word in WORD.findall(prose) if word.lower() in PROSE]
    return sorted({*names, *(match[0] for match in PHRASE.finditer(prose))})


def above_allowance(messages: Mapping[str, list[str]], allowed: Mapping[str, int]) -> list[str]:
    """The messages of every room that has more of them than it is allowed."""
    return [text for name, texts in messages.items() if len(texts) > allowed.get(name, 0) for text in texts]


def test_names_and_prose_use_plain_words():
    """No banned word in identifiers, docstrings, comments and strings; each failure names the replacement."""
    messages = defaultdict(list)
    for path in SOURCES:
        messages[room(path)] += banned_words(path)
    for path in TESTS:
        messages[room(path)] += banned_words(path, in_strings=False)
    assert [] == above_allowance(messages, ALLOWED_WORDS)


def test_public_functions_document_their_arguments():
    """A public function of three or more arguments describes each in its docstring: `name: unit, range, None`."""
    missing = defaultdict(list)
    for path in PRODUCT:
        missing[room(path)] += undocumented(path)
    assert [] == above_allowance(missing, ALLOWED_UNDOCUMENTED)


def test_pages_and_templates_use_plain_words():
    """The documentation, the pages of the UI, the vendors' notes and the texts of the wire samples."""
    patterns = ("*.md", "docs/**/*.md", "docs/*.toml", "airflow_provider_segexport/**/*.md", "pyproject.toml")
    texts = {path: path.read_text() for pattern in patterns for path in REPO.glob(pattern)}
    texts |= {path: path.read_text() for path in PACKAGE.glob("plugins/templates/*.html")}
    texts |= {path: json.loads(path.read_text())["what"] for path in REPO.glob("tests/wire/*/*.json")}
    banned = {str(path.relative_to(REPO)): banned_on_page(text) for path, text in texts.items()}
    assert {name: names for name, names in banned.items() if names} == ALLOWED_ON_PAGES


def test_banned_words_of_a_page_are_detected():
    """Code and link targets are names."""
    assert banned_on_page("People whom `nobody` [told](told.md) to sign in") == ["sign in", "told", "whom"]


@pytest.mark.parametrize(
    ("code", "lacking"),
    [
        ('class Lock:\n    """A lock.\n\n    Args:\n        path: where.\n    """\n', "(owner, end)"),
        ('class Lock:\n    """A lock.\n\n    Args:\n        path: a\n        owner: b\n        end: c\n    """\n', ""),
        ("class _Lock:\n", ""),
    ],
)
def test_a_class_describes_the_arguments_of_its_constructor(code, lacking):
    """Or the constructor itself does; private classes need not."""
    source = f"{code}    def __init__(self, path, owner, end): ...\n"
    assert [text.partition("__init__ ")[2] for text in undocumented(PACKAGE / "module.py", source)] == [lacking] * bool(
        lacking
    )


def test_allowances_name_rooms_that_exist():
    """A room that was renamed or is clean has no allowance."""
    rooms = Counter(room(path) for path in SOURCES)
    allowances = {**ALLOWED_WORDS, **ALLOWED_UNDOCUMENTED, **ALLOWED_IN_CYCLES}
    assert {} == {name: count for name, count in allowances.items() if count < 1 or name not in rooms}


def imports(path: Path, modules: Mapping[str, Path]) -> set[str]:
    """Modules of the package that a module imports, wherever the import statement is."""
    targets = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == PACKAGE.name:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            targets |= {name if name in modules else node.module for name in names}
        elif isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names if alias.name in modules}
    return targets


def cyclic(graph: Mapping[str, set[str]]) -> set[str]:
    """Modules that import themselves through other modules."""

    def reachable(name: str) -> set[str]:
        reached: set[str] = set()
        pending = list(graph[name])
        while pending:
            module = pending.pop()
            if module not in reached:
                reached.add(module)
                pending += graph.get(module, ())
        return reached

    return {name for name in graph if name in reachable(name)}


def test_modules_import_each_other_in_one_direction():
    """No import cycle, not even through imports inside functions."""
    modules = {
        ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__"): path
        for path in SOURCES
        if path.is_relative_to(PACKAGE)
    }
    graph = {name: imports(path, modules) - {name} for name, path in modules.items()}
    graph[PACKAGE.name] = set()  # it reads the provider's metadata when Airflow calls `get_provider_info`
    in_cycles = defaultdict(list)
    for name in sorted(cyclic(graph)):
        in_cycles[room(modules[name])].append(f"{name} imports {', '.join(sorted(graph[name] & cyclic(graph)))}")
    assert [] == above_allowance(in_cycles, ALLOWED_IN_CYCLES)


@pytest.mark.parametrize(
    ("code", "messages"),
    [
        ("found = 1", ["name `found`: name the content: rows, connection, files"]),
        ("def send_nobody(): ...", ["name `send_nobody`: no person, no user, no run"]),
        ("class Patient: ...", ["name `Patient`: poll_policy"]),
        ("x = 1  # was told", ["word `told`: says, reports, is configured with"]),
        ("x = f'{y} tells'", ["word `tells`: says, returns, shows"]),
        ('"""Who is in."""', ["a docstring opens with `Who`: begin with a verb, or with the noun"]),
        ("x = 'the data matching'", ["phrase `data matching`: field mapping"]),
        ("rows = [row for row in standard]", []),
    ],
)
def test_banned_words_are_detected(code, messages):
    """The search detects names, words, phrases and openings, and nothing else."""
    texts = [text.partition(" ")[2] for text in banned_words(PACKAGE / "module.py", code)]
    assert messages == texts


def test_strings_of_tests_may_hold_banned_words():
    """Names, comments and docstrings of a test are checked; its other strings are data."""
    code = "def test_x():\n    'Nobody.'\n    assert 'told' == x  # told\n"
    texts = [text.partition(" ")[2] for text in banned_words(REPO / "tests" / "test_x.py", code, in_strings=False)]
    assert ["word `Nobody`: no person, no user, no run", "word `told`: says, reports, is configured with"] == texts
