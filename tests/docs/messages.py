"""The code's messages: every text in it, with `…` for each value."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "airflow_provider_segexport"


def text_of(node: ast.AST) -> str:
    """The text of a string, or of an f-string with its values left out."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    return "…"


def texts() -> list[tuple[str, str]]:
    """Every text of the package but the simulator's, with its module."""
    messages = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "simulator" in path.parts:
            continue
        strings = [
            text_of(node)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp)
        ]
        messages += [(str(path.relative_to(PACKAGE)), text) for text in strings if text.strip("…")]
    return messages
