"""A few calm days of one audience, in which a test plants a fault, and what the checker reports of them."""

from __future__ import annotations

from random import Random

import requests
from chaos.invariants import broken
from chaos.population import Population
from chaos.run_records import AGENT, Run, RunRecords
from chaos.stage import Stage, small


class Story:
    """A few calm days of one audience, in which a test plants a fault."""

    def __init__(self, sim, name, home) -> None:
        self.stage = Stage(sim, name, home, small(name))
        self.people = Population(Random(7), 16, dirty=False)
        self.days = [self.people.next_day() for _ in range(4)]
        self.stage.sim.seed(name, [{"email": "stranger@example.org"}], self.stage.audience)

    def begin(self, day: int, mode: str = "upsert", **options) -> Run:
        return self.stage.begin(self.days[day].as_of, self.days[day].rows, mode, **options)

    def export(self, day: int, mode: str = "upsert", **options) -> Run:
        run = self.begin(day, mode, **options)
        self.stage.attempt(run)
        return run

    def rogue(self, run: Run, method: str, path: str, **options) -> None:
        """Make a call in a run's name that the provider never makes."""
        headers = {"User-Agent": f"{AGENT}{run.name} 1", **options.pop("headers", {})}
        url = f"{self.stage.described['base_url']}{path}"
        requests.request(
            method, url, headers=headers, auth=self.stage.row.auth(self.stage.described), timeout=5, **options
        )

    def broken_invariants(self, *, settled: bool = True) -> set[str]:
        """Names of the invariants that are violated."""
        return {violation.partition(":")[0] for violation in self.violations(settled=settled)}

    def violations(self, *, settled: bool = True) -> list[str]:
        return broken(self.evidence(settled=settled))

    def evidence(self, *, settled: bool = True) -> RunRecords:
        return self.stage.evidence(settled=settled)
