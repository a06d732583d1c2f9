"""The lines that Airflow's log view folds: `lines of a task's log -> [(group or None, text)]`.

As the view of Airflow 3.3 does it: a line with `::group::` opens a group within the one that is open, `::endgroup::`
closes the innermost one, and a group that is never closed holds every line that follows.
"""

from __future__ import annotations


def fold(lines: list[str]) -> list[tuple[str | None, str]]:
    """Return each line with its group, without the markers; `(continued)` is left out of the group's name."""
    groups: list[str] = []
    shown: list[tuple[str | None, str]] = []
    for line in lines:
        if "::group::" in line:
            groups.append(line.split("::group::")[1].strip().removesuffix(" (continued)"))
            assert len(groups) == 1, f"{groups[-1]} is folded within {groups[0]}"
        elif "::endgroup::" in line:
            del groups[-1:]
        else:
            shown.append((groups[-1] if groups else None, line))
    return shown
