"""Tables of the engine: each is created by one module, and one that other modules read is named by a constant."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from airflow_provider_segexport.storage import tables

PACKAGE = Path(__file__).resolve().parents[2] / "airflow_provider_segexport"
MODULES = {path.relative_to(PACKAGE): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = {path: text for path, text in MODULES.items() if path.parts[0] in {"stages", "export", "person", "storage"}}
SHARED = {name: value for name, value in vars(tables).items() if name.isupper() and isinstance(value, str)}
CREATES = re.compile(r"""create or replace (?:table|view) (\w+|\{[A-Z_]+\})|\.table\(\s*"(\w+)\"""")
OWNERS = {
    name: re.search(
        rf'^{name} = .*\n"""Owner: (?:`(\w+)`|this module)', MODULES[Path("storage/tables.py")], re.MULTILINE
    )
    for name in SHARED
}
FROM_ADDRESSES = {"EMAIL_KEYS": {"email_column"}}
"""`validate_column` creates the keys of a segment for `clean`, and those of a suppression list under a prefix."""


def creators() -> dict[str, set[str]]:
    """Modules that create each table, by its name."""
    modules_by_table = defaultdict(set)
    for path, text in MODULES.items():
        for literal, arrow in CREATES.findall(text):
            name = literal or arrow
            modules_by_table[SHARED.get(name.strip("{}"), name)].add(path.stem)
    return modules_by_table


def test_each_table_is_created_by_one_module():
    """No stage replaces the table of another one."""
    assert {} == {name: modules for name, modules in creators().items() if len(modules) > 1}


def test_a_table_of_another_stage_is_created_by_its_owner():
    """The constant says whose table it is."""
    made = creators()
    for name, value in SHARED.items():
        owner = OWNERS[name]
        assert owner is not None, name
        assert made[value] <= {owner[1] or "tables"} | FROM_ADDRESSES.get(name, set()), name


def test_a_table_of_another_stage_is_read_by_its_constant():
    """Written out, it would not be found when it is renamed."""
    names = "|".join(SHARED.values())
    read = re.compile(rf"\b(?:from|join|into|table|view) (?:{names})\b")
    assert {} == {str(path): hits for path, text in MODULES.items() if (hits := read.findall(text))}
