"""What the code says: every text in it, with `…` where a value stands."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "airflow_provider_segexport"


def told(node: ast.AST) -> str:
    """The text of a string, or of an f-string with its values left out."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(told(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return told(node.left) + told(node.right)
    return "…"


def texts() -> list[tuple[str, str]]:
    """Every text of the package but the simulator's, with the module it stands in."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "simulator" in path.parts:
            continue
        strings = [
            told(node)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp)
        ]
        found += [(str(path.relative_to(PACKAGE)), text) for text in strings if text.strip("…")]
    return found
