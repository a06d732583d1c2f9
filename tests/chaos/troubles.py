"""Random faults of one attempt: kills, races, full disks, failing calls and jobs, hostile responses, wrong clocks."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from chaos.fault_injection import Between, KillSwitch
from chaos.fault_tables import FAULTS, HOSTILE, JOBS
from chaos.population import address
from chaos.stage import Stage, Trouble

MOST_STEPS = 75
"""About as many steps as one export of two dozen people takes."""


class Troubles:
    """Draws the trouble of the next try.

    Attributes:
        more: also hostile responses and wrong clocks.
        other_task: prepares another run of the audience, which begins when the result is called.
    """

    def __init__(self, rng: Random, stage: Stage, other_task: Callable[[], Callable[[], None]], *, more: bool) -> None:
        self.rng, self.stage, self.other_task, self.more = rng, stage, other_task, more

    def draw(self) -> tuple[str, Trouble]:
        """Return a name and the faults of the next attempt."""
        rng = self.rng
        kinds: list[Callable[[], tuple[str, Trouble]]] = [
            lambda: ("calm", Trouble()),
            lambda: ("leaves", Trouble(leaves=True)),
            self._kill,
            self._kill,
            self._race,
            self._disk,
            self._faults,
            self._faults,
            self._jobs,
        ]
        if self.more:
            kinds = [*kinds, self._hostile, self._hostile, self._skewed, self._skewed]
        return rng.choice(kinds)()

    def _kill(self) -> tuple[str, Trouble]:
        at, torn = self.rng.randint(1, MOST_STEPS), self.rng.random() < 0.5
        kill_switch = KillSwitch(str(self.stage.root), at, "stop", torn=torn)
        return f"killed at step {at}{' in half a line' if torn else ''}", Trouble(kill_switch)

    def _race(self) -> tuple[str, Trouble]:
        """Return another task that begins to write to the audience between two calls of this task."""
        at = self.rng.randint(1, 20)
        return f"raced at call {at}", Trouble(Between(str(self.stage.root), at, self.other_task()))

    def _disk(self) -> tuple[str, Trouble]:
        at, more = self.rng.randint(1, MOST_STEPS), self.rng.randint(1, 10)
        kind, description = self.rng.choice((("disk", "disk full"), ("away", "no store")))
        return f"{description} at step {at} for {more}", Trouble(KillSwitch(str(self.stage.root), at, kind, more))

    def _faults(self) -> tuple[str, Trouble]:
        """Return faults of a few calls, which the client or the vendor may not notice."""
        rng, stage = self.rng, self.stage
        method, path = stage.dialect.upsert
        lines = []
        for _ in range(rng.randint(1, 3)):
            where = {"vendor": stage.name, "nth": rng.randint(1, 8), "count": rng.choice((1, 1, 2, 7))}
            if rng.random() < 0.6:
                where |= {"method": method, "path": path, "nth": rng.randint(1, 3)}
            lines.append(where | rng.choice(FAULTS))
        if rng.random() < 0.3:
            person = address(rng.randrange(24))
            poison = {"contains": f'"{person}"', "count": 0, "refuse": True}
            lines.append({"vendor": stage.name, "method": method, "path": path, **poison})
        stage.sim.faults(lines)
        return f"faults {lines}", Trouble(leaves=rng.random() < 0.2)

    def _jobs(self) -> tuple[str, Trouble]:
        """Return failing jobs, if the vendor has jobs."""
        stage, rng = self.stage, self.rng
        action, details = rng.choice(JOBS[stage.name]) if JOBS[stage.name] else ("", {})
        if action:
            stage.sim.act(stage.name, action, dict(details))
            stage.asked_again += 4
        return f"jobs {details}", Trouble(leaves=rng.random() < 0.3)

    def _hostile(self) -> tuple[str, Trouble]:
        """Return malformed or hostile responses of the vendor, or of a server in its place."""
        stage, rng = self.stage, self.rng
        method, path = stage.dialect.upsert
        when = rng.choice(("before", "after"))
        line = {"vendor": stage.name, "nth": rng.randint(1, 6), "count": rng.choice((1, 2)), "when": when}
        if rng.random() < 0.6:
            line |= {"method": method, "path": path, "nth": rng.randint(1, 3)}
        how, reply = rng.choice(HOSTILE)
        stage.sim.faults([{**line, **reply}])
        return f"hostile {how}, {when}, {line}", Trouble()

    def _skewed(self) -> tuple[str, Trouble]:
        """Return a worker's clock that is wrong by an hour or a day."""
        skew = self.rng.choice((3600.0, -3600.0, 86_400.0, -86_400.0))
        return f"a clock that is {skew:+.0f} s off", Trouble(skew=skew)
