"""Writes the tables and the page docs/performance.md from a result in results/*.json."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

TITLES = {
    "floor": "the floor: DuckDB and requests, without plan, ledger, journal, results, report",
    "campaign_monitor": "Campaign Monitor",
    "constant_contact": "Constant Contact",
    "dotdigital": "dotdigital",
    "omnisend": "Omnisend",
    "drt": "drt-core, DuckDB source, template",
    "dlt": "dlt, Arrow resource, custom destination",
    "pandas_loop": "pandas + requests script",
}
PHONES = {
    "none": "none",
    "e164": "all different, in E.164",
    "repeated": "a thousand in national form, repeated",
    "distinct": "all different, in national form",
}
SIZES = {"10k": "10,000", "100k": "100,000", "1m": "1,000,000", "10m": "10,000,000"}


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table; columns after the first are numbers."""
    head = list(head)
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def tables(result: dict[str, Any]) -> str:
    """Return all tables of a result."""
    parts = [f"{_environment_text(result)}\n"]
    parts += [f"### {title}\n\n{text}" for title, text in _sections(result) if text]
    return "\n".join(parts)


def _environment_text(result: dict[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured {result['made_at'][:10]} on {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} "
        f"GiB, {machine['system']}, Python {machine['python']}; load when it ended {machine['load_1m']}. "
        f"Medians of {result['rounds']} interleaved rounds unless a table says otherwise. {named}."
    )


def _sections(result: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "Whole exports", _exports(result)
    yield "Runs with 1 % changed", _deltas(result)
    yield "Phone numbers", _phones(result)
    yield "Beside others", _peers(result)
    yield "Beside the floor", _floor(result)
    yield "With 20 ms a call", _latency(result)
    yield "Where the CPU goes", _stages(result)
    yield "Quotas", _quota(result)
    yield "Import", _imports(result)


def _exports(result: dict[str, Any]) -> str:
    rows = []
    for size, title in SIZES.items():
        for vendor, case in result.get(f"export_{size}", {}).get("by_vendor", {}).items():
            calls = f"{sum(case['calls'].values()):,}"
            figures = (f"{case['cpu_s']:.2f}", f"{case['rss_over_idle_mib']:.0f}", f"{case['first_call_s']:.1f}")
            rows.append((f"{title} to {TITLES[vendor]}", *figures, f"{case['imports']:,}", calls, case["runs"]))
    head = ("profiles", "CPU s", "MiB above idle", "first call after s", "imports", "calls", "runs")
    return table(head, rows)


def _deltas(result: dict[str, Any]) -> str:
    rows = []
    for size, title in SIZES.items():
        for vendor, case in result.get(f"delta_{size}", {}).get("by_vendor", {}).items():
            first = (f"{case['first_call_s']:.2f}", f"{case['cpu_to_first_call_s']:.2f}")
            figures = (f"{case['cpu_s']:.2f}", *first, f"{case['rss_over_idle_mib']:.0f}")
            rows.append((f"{title} to {TITLES[vendor]}", *figures, f"{case['rows']:,}"))
    return table(("profiles", "CPU s", "first call after s", "CPU s until then", "MiB above idle", "sent"), rows)


def _phones(result: dict[str, Any]) -> str:
    phones = result.get("phones")
    if not phones:
        return ""
    base = phones["cpu_s"]["none"]
    rows = [(PHONES[kind], f"{cpu:.1f}", f"{cpu - base:+.1f}") for kind, cpu in phones["cpu_s"].items()]
    return (
        f"{phones['rows']:,} profiles to Campaign Monitor. Measured {phones['made_at'][:10]}, medians of "
        f"{phones['rounds']} rounds (one run with different national numbers), load when it ended {phones['load_1m']}. "
        "Compare the figures of this table with each other. A number that is in E.164 already is not converted, and "
        "each distinct other one is converted once.\n\n"
        + table(("the segment's phone numbers", "CPU s", "against none"), rows)
    )


def _peers(result: dict[str, Any]) -> str:
    rows = [
        (TITLES[name], f"{case['cpu_s']:.1f}", f"{result['cpu_ratio'][name]:.1f}", f"{case['peak_rss_mib']:.0f}")
        for name, case in result["peers"].items()
    ]
    return table(("the same file to the same server", "CPU s", "times ours", "MiB in all"), rows) if rows else ""


def _floor(result: dict[str, Any]) -> str:
    titles = {"export": "full export", "delta": "1 % changed"}
    rows = [(titles[kind], f"{share:.2f}") for kind, share in result.get("share_of_floor", {}).items()]
    return table(("our CPU to Campaign Monitor", "share of the floor's"), rows) if rows else ""


def _latency(result: dict[str, Any]) -> str:
    rows = [
        (TITLES[name], f"{case['wall_s']:.1f}", f"{case['cpu_s']:.1f}")
        for name, case in result.get("latency", {}).items()
    ]
    return table(("each response takes 20 ms", "seconds", "CPU s"), rows) if rows else ""


def _stages(result: dict[str, Any]) -> str:
    size = next((size for size in SIZES if f"stages_{size}" in result), None)
    if size is None:
        return ""
    stages = result[f"stages_{size}"]
    labels = next(iter(stages.values()))
    rows = [(label, *(f"{case[label]:.2f}" for case in stages.values())) for label in labels]
    return table((f"CPU s, {SIZES[size]} profiles, one run", *(TITLES[name] for name in stages)), rows)


def _quota(result: dict[str, Any]) -> str:
    rows = [
        (
            f"{TITLES[vendor]}: {case['quota']}",
            f"{result['quota_ratio'][vendor]:.3f}",
            f"{case['calls']:,}",
            f"{case['imports']:,} of {case['imports_at_least']:,}",
            case["refused_429"],
        )
        for vendor, case in result["quota"].items()
    ]
    return table(("published quota", "time / (calls / quota)", "calls", "imports, of at least", "429s"), rows)


def _imports(result: dict[str, Any]) -> str:
    return (
        f"A DAG file with the operator costs {result['import_over_airflow_s'] * 1000:.0f} ms of CPU more than one with "
        "Airflow's `EmptyOperator`.\n"
    )


def performance_page(result: dict[str, Any]) -> str:
    """Return the page docs/performance.md."""
    return f"""# Performance

`make bench` writes this page from `benchmarks/results/latest.json`. `benchmarks/README.md` describes the method and how
to run it. The [decisions](decisions) record which changes helped and which did not.

{_environment_text(result)}

![CPU beside others, memory over time, CPU by size](performance.svg)

{"".join(f"## {title}{chr(10) * 2}{text}{chr(10)}" for title, text in _sections(result) if text).rstrip()}

## What is counted

- **CPU** is user and system time of the task process. As under Airflow's supervisor, the process is forked from one
  that has loaded Airflow. The imports of this package and its libraries are included. Peers are whole processes.
- **MiB above idle** is the largest resident set of that process, minus that of a task that does nothing.
- **The server** is a sink in another process. It answers in the vendors' formats and does nothing else. Rate limits are
  measured against the simulator.
- **The segment** has sixteen columns, of which ten are exported. 1 % of its rows repeat an address, 0.5 % hold an
  invalid address, 0.3 % have no address, and 0.2 % have an international domain.
"""
