"""Runs both example DAGs as Airflow runs them (`dag.test()` on SQLite); started by demo.py, which sets the environment.

Usage: python scripts/demo_dags.py DAY PROFILES refresh|export|refresh+1|export+1 [...]

`+1` is the next day: its export takes out who has left (`mirror`).

Before each DAG it says `ready` on standard output and waits for a line on standard input.
"""

from __future__ import annotations

import os
import sys
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")


def main() -> int:
    """Run the DAGs for the day, one after the other; 0 when all runs succeeded."""
    day, profiles, *stages = sys.argv[1:]
    said = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Airflow's own words go to the log
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    sys.path.insert(0, str(folder))

    from airflow.models import DagBag  # noqa: PLC0415 - after the path
    from airflow.utils.db import initdb  # noqa: PLC0415

    initdb()
    bag = DagBag(folder)
    if bag.import_errors:
        print(bag.import_errors)
        return 1
    for stage in stages:
        said.write("ready\n")
        sys.stdin.readline()
        name, _, later = stage.partition("+")
        # The same moment names the same run: after a kill, the run goes on.
        moment = datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(days=int(later or 0))
        conf: dict[str, Any] = {"day": f"{moment:%Y-%m-%d}"}
        conf |= {"profiles": int(profiles)} if name == "refresh" else {"mode": "mirror" if later else "upsert"}
        name = {"refresh": "unification_refresh", "export": "segment_exports"}[name]
        run = bag.dags[name].test(run_conf=conf, run_after=moment, logical_date=moment)
        if str(run.state) != "success":
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
