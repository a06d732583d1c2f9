"""Runs the example DAGs with `dag.test()` on SQLite. demo.py starts this script and sets the environment.

Usage: python scripts/demo_dags.py DAY PROFILES NUMBER CONNECTIONS refresh|export|refresh+1|export+1 [...]

`+1` means the next day, whose export also removes leavers (`mirror`). NUMBER is that of the process. It exports
through CONNECTIONS, separated by commas.

Before each DAG, the script prints `ready` and waits for a line on standard input. After the last DAG it prints `ready`
once more. If a DAG run fails, the script ends without another line.
"""

from __future__ import annotations

import os
import sys
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

POLL_INTERVAL_S = 0.1
"""Longest time between two polls, in seconds: the demo's simulator finishes a job in 0.1 s (`demo_stage.py`)."""


def main() -> int:
    """Run the DAGs of the stages in order; return 0 if all runs succeeded, else 1."""
    day, profiles, number, connections, *stages = sys.argv[1:]
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Airflow's output goes to the log
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    sys.path.insert(0, str(folder))

    from airflow.models import DagBag  # noqa: PLC0415 - after the path
    from airflow.utils.db import initdb  # noqa: PLC0415

    initdb()
    bag = DagBag(folder)
    if bag.import_errors:
        print(bag.import_errors)
        return 1
    export: Any = bag.dags["segment_exports"].task_dict["export"]  # a mapped task
    export.partial_kwargs["poll_interval"] = POLL_INTERVAL_S
    for stage in stages:
        output.write("ready\n")
        sys.stdin.readline()
        name, _, days_later = stage.partition("+")
        # The same logical date gives the same run id, so a run resumes after a kill. Each process has its own run ids.
        start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
        moment = start + timedelta(days=int(days_later or 0), seconds=int(number))
        conf: dict[str, Any] = {"day": f"{moment:%Y-%m-%d}"}
        if name == "refresh":
            conf["profiles"] = int(profiles)
        else:
            conf |= {"mode": "mirror" if days_later else "upsert", "connections": connections.split(",")}
        name = {"refresh": "unification_refresh", "export": "segment_exports"}[name]
        run = bag.dags[name].test(run_conf=conf, run_after=moment, logical_date=moment)
        if str(run.state) != "success":
            return 1
    output.write("ready\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
