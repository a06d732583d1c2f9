"""The attributes that a class documents are those that it has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
FOLDERS = ("airflow_provider_segexport", "benchmarks", "dags", "scripts", "tests")
SECTION = re.compile(r"Attributes:\n((?:    .*\n?|\n)+)")
NAMES = re.compile(r"^    (\w+(?:, \w+)*):", re.MULTILINE)


def documented(node: ast.ClassDef) -> Iterator[str]:
    section = SECTION.search(ast.get_docstring(node) or "")
    for listed in NAMES.findall(section[1]) if section else []:
        yield from listed.split(", ")


def attributes(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Return the names of a class and of its base classes in the same module."""
    names = {
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    names |= {
        name.id
        for item in node.body
        if isinstance(item, ast.Assign)
        for name in item.targets
        if isinstance(name, ast.Name)
    }
    names |= {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    names |= {
        item.attr for item in ast.walk(node) if isinstance(item, ast.Attribute) and ast.unparse(item.value) == "self"
    }
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            names |= attributes(classes[base.id], classes)
    return names


def test_every_documented_attribute_exists():
    """A field that was renamed is renamed in the docstring too."""
    wrong = []
    for path in (path for folder in FOLDERS for path in sorted((REPO / folder).rglob("*.py"))):
        classes = {node.name: node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)}
        for name, node in classes.items():
            if missing := sorted(set(documented(node)) - attributes(node, classes)):
                wrong.append(f"{path.relative_to(REPO)} {name}: {', '.join(missing)}")
    assert [] == wrong
