"""The same export with drt: DuckDB reads and cleans, a template writes the bodies, a thousand rows per call.

Usage: python drt_project.py SEGMENT SERVER HOME. It writes the project into HOME, and replaces itself by `drt run`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml
from pandas_loop import COLUMNS, CUSTOM, PLAIN, ROWS


def template() -> str:
    """Return the body's template as in drt's documentation: a loop over the rows. The last field has no comma."""
    custom = "".join(
        f"{{% if row.{column} is not none %}}"
        f'{{"Key":"{key}","Value":{{{{ (row.{column}|string)|tojson_safe }}}}}},{{% endif %}}'
        for key, column in CUSTOM.items()
    )
    names = "([row.first_name, row.last_name]|select|join(' '))"
    row = (
        f'{{"EmailAddress":{{{{ row.email|tojson_safe }}}},"Name":{{{{ {names}|tojson_safe }}}},'
        f'"CustomFields":[{custom}{{"Key":"Source","Value":"drt"}}],"ConsentToTrack":"Unchanged"}}'
    )
    comma = "{% if not loop.last %},{% endif %}"
    return f'{{"Subscribers":[{{% for row in rows %}}{row}{comma}{{% endfor %}}],"Resubscribe":false}}'


def main() -> None:
    """Write the project and run it."""
    segment, server, home = sys.argv[1:]
    project = Path(home) / "project"
    (project / "syncs").mkdir(parents=True, exist_ok=True)
    (Path(home) / ".drt").mkdir(exist_ok=True)
    profile = {"local": {"type": "duckdb", "database": ":memory:"}}
    (Path(home) / ".drt" / "profiles.yml").write_text(yaml.safe_dump(profile))
    about = {"name": "bench", "version": "0.1", "profile": "local"}
    (project / "drt_project.yml").write_text(yaml.safe_dump(about))
    columns = ", ".join(COLUMNS[1:])
    query = (
        f"select lower(trim(email)) as email, {columns} from read_parquet('{segment}') "
        f"where regexp_full_match(lower(trim(email)), '{PLAIN}') "
        "qualify row_number() over (partition by lower(trim(email))) = 1"
    )
    sync = {
        "name": "people",
        "model": query,
        "destination": {
            "type": "rest_api",
            "url": f"{server}/peer/import.json",
            "method": "POST",
            "headers": {"content-type": "application/json"},
            "body_mode": "batch",
            "batch_template": template(),
            "max_records_per_request": ROWS,
        },
        "sync": {
            "mode": "full",
            "batch_size": 50 * ROWS,
            "rate_limit": {"requests_per_second": 0},
            "on_error": "fail",
        },
    }
    (project / "syncs" / "people.yml").write_text(yaml.safe_dump(sync))
    os.chdir(project)
    os.environ.update(HOME=home, DRT_TELEMETRY="off", DO_NOT_TRACK="1")
    drt = Path(sys.executable).with_name("drt")
    os.execv(drt, [str(drt), "run", "--select", "people", "--output", "json"])  # noqa: S606 - the peer itself


if __name__ == "__main__":
    main()
