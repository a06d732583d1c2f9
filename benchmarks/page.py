"""Writes the tables and the docs' page from a result: `results/*.json -> Markdown`. No number is typed by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

TITLES = {
    "campaign_monitor": "Campaign Monitor",
    "constant_contact": "Constant Contact",
    "dotdigital": "dotdigital",
    "omnisend": "Omnisend",
    "drt": "drt-core, DuckDB source, template",
    "dlt": "dlt, Arrow resource, custom destination",
    "pandas_loop": "pandas + requests script",
}
SIZES = {"10k": "10,000", "100k": "100,000", "1m": "1,000,000", "10m": "10,000,000"}


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; columns after the first are numbers."""
    head = list(head)
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def tables(found: dict[str, Any]) -> str:
    """All tables of a result."""
    parts = [f"{_where(found)}\n"]
    parts += [f"### {title}\n\n{text}" for title, text in _sections(found) if text]
    return "\n".join(parts)


def _where(found: dict[str, Any]) -> str:
    machine, versions = found["machine"], found["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured {found['made_at'][:10]} on {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} "
        f"GiB, {machine['system']}, Python {machine['python']}; load when it ended {machine['load_1m']}. "
        f"Medians of {found['rounds']} interleaved rounds unless a table says otherwise. {named}."
    )


def _sections(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "Whole exports", _exports(found)
    yield "Runs with 1 % changed", _deltas(found)
    yield "Beside others", _peers(found)
    yield "Where the CPU goes", _stages(found)
    yield "Quotas", _quota(found)
    yield "Import", _imports(found)


def _exports(found: dict[str, Any]) -> str:
    rows = []
    for size, title in SIZES.items():
        for vendor, one in found.get(f"export_{size}", {}).get("by_vendor", {}).items():
            calls = f"{sum(one['calls'].values()):,}"
            figures = (f"{one['cpu_s']:.2f}", f"{one['rss_over_idle_mib']:.0f}", f"{one['first_call_s']:.1f}")
            rows.append((f"{title} to {TITLES[vendor]}", *figures, f"{one['imports']:,}", calls, one["runs"]))
    head = ("profiles", "CPU s", "MiB above idle", "first call after s", "imports", "calls", "runs")
    return table(head, rows)


def _deltas(found: dict[str, Any]) -> str:
    rows = []
    for size, title in SIZES.items():
        for vendor, one in found.get(f"delta_{size}", {}).get("by_vendor", {}).items():
            first = (f"{one['first_call_s']:.2f}", f"{one['cpu_to_first_call_s']:.2f}")
            figures = (f"{one['cpu_s']:.2f}", *first, f"{one['rss_over_idle_mib']:.0f}")
            rows.append((f"{title} to {TITLES[vendor]}", *figures, f"{one['rows']:,}"))
    return table(("profiles", "CPU s", "first call after s", "CPU s until then", "MiB above idle", "sent"), rows)


def _peers(found: dict[str, Any]) -> str:
    rows = [
        (TITLES[name], f"{one['cpu_s']:.1f}", f"{found['cpu_ratio'][name]:.1f}", f"{one['peak_rss_mib']:.0f}")
        for name, one in found["peers"].items()
    ]
    return table(("the same file to the same server", "CPU s", "times ours", "MiB in all"), rows) if rows else ""


def _stages(found: dict[str, Any]) -> str:
    size = next((size for size in SIZES if f"stages_{size}" in found), None)
    if size is None:
        return ""
    stages = found[f"stages_{size}"]
    labels = next(iter(stages.values()))
    rows = [(label, *(f"{one[label]:.2f}" for one in stages.values())) for label in labels]
    return table((f"CPU s, {SIZES[size]} profiles, one run", *(TITLES[name] for name in stages)), rows)


def _quota(found: dict[str, Any]) -> str:
    rows = [
        (
            f"{TITLES[vendor]}: {one['quota']}",
            f"{found['quota_ratio'][vendor]:.3f}",
            f"{one['calls']:,}",
            f"{one['imports']:,} of {one['imports_at_least']:,}",
            one["refused_429"],
        )
        for vendor, one in found["quota"].items()
    ]
    return table(("published quota", "time / (calls / quota)", "calls", "imports, of at least", "429s"), rows)


def _imports(found: dict[str, Any]) -> str:
    return (
        f"A DAG file with the operator costs {found['import_over_airflow_s'] * 1000:.0f} ms of CPU more than one with "
        "Airflow's `EmptyOperator`.\n"
    )


def whole(found: dict[str, Any]) -> str:
    """The docs' page."""
    return f"""# Performance

This page is written by `make bench`, from `benchmarks/results/latest.json`. How it is measured, and how to run it, is
in `benchmarks/README.md`; what helped and what did not is in the [decisions](decisions).

{_where(found)}

![CPU beside others, memory over time, CPU by size](performance.svg)

{"".join(f"## {title}{chr(10) * 2}{text}{chr(10)}" for title, text in _sections(found) if text).rstrip()}

## What is counted

- **CPU** is user and system time of the task process as Airflow's supervisor makes it: forked from a process that has
  Airflow, with the imports of this package and its libraries in it. Peers are whole processes.
- **MiB above idle** is the largest resident set of that process less that of a task that does nothing.
- **The server** is a sink in another process that answers in the vendors' shapes and does no more; quotas are
  measured against the simulator.
- **The segment** has sixteen columns, of which ten travel; 1 % of its rows repeat an address, 0.5 % are no address,
  0.3 % are empty, 0.2 % have an international domain.
"""
