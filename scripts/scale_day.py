"""Simulates a day of exports, from event to event.

Tasks of one vendor that start together are alike, so they are simulated as one group. A group starts (seconds), plans
(CPU seconds) and sends (calls). It sends at the slowest of three rates: its calls in flight, its share of the accounts'
quota, and its share of the cores. A group whose accounts have used up the day's quota releases its slots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scale_task import (
    DAY_S,
    MEASURED_VENDORS,
    account_calls_per_day,
    account_rate,
    calls,
    cpu_s_per_call,
    plan_cpu_s,
    starts,
    task_rate,
)

TICK_S = 5.0
"""Seconds between two starts of tasks by the simulated scheduler. Tasks that start together are one group."""

BUNDLE = 2
"""Least number of tasks that start together. It halves the number of events."""

JOB_S, TRIGGERS = 300.0, 1000
"""Assumed seconds that a vendor works on import jobs, and the triggers that one triggerer runs at a time by default."""

NEGLIGIBLE = 1e-6
"""Seconds or calls that count as none, because sums of parts are not exact."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where tasks run.

    Attributes:
        name: the executor.
        slots: tasks at a time: the slots of all workers, or `parallelism`.
        cores: cores of all workers; infinite if each task has its own.
        task_cores: cores that one task may use at most.
        task_gib: memory of one task: a slot's part of a worker, or the pod's request.
        start_s: seconds until a started task runs.
        start_cpu_s: CPU seconds that Airflow takes to start a task.
        starts_a_second: tasks that the scheduler starts in a second.
        has_pods: each task is a pod, which is billed only while it runs.
    """

    name: str
    slots: int
    cores: float
    task_cores: float
    task_gib: float
    start_s: float
    start_cpu_s: float
    starts_a_second: float
    has_pods: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """The exports of a day.

    Attributes:
        changed: share of changed profiles, 0 to 1.
        accounts: number of accounts at each vendor.
        cluster: where the tasks run.
        audiences: number of audiences at each vendor, each with one export.
        has_pools: each vendor has an Airflow pool.
    """

    changed: float
    accounts: int
    cluster: Cluster
    audiences: int = 250
    has_pools: bool = False

    def pool(self, vendor: str) -> int:
        """Return the slots that the vendor's exports may use.

        With pools, a vendor with a quota has as many as keep the quota busy: its calls per second, times the duration
        of one task alone, divided by the task's calls; and two more. It has at most half of all slots.
        """
        slots, rate = self.cluster.slots, account_rate(vendor) * self.accounts
        if not self.has_pools:
            return slots
        if math.isinf(rate):
            return slots // 2
        needed = math.ceil(rate * self.task_seconds(vendor) / calls(vendor, self.changed)) + 2
        return min(needed + needed % BUNDLE, slots // 2)

    def task_seconds(self, vendor: str) -> float:
        """Return the duration of one task that shares nothing with others."""
        cluster, times = self.cluster, starts(vendor)
        cpu_s = plan_cpu_s(vendor) + times * cluster.start_cpu_s
        return times * cluster.start_s + cpu_s / cluster.task_cores + calls(vendor, self.changed) / task_rate(vendor)

    def limits(self, vendor: str, cpu_s: float) -> dict[str, float]:
        """Return the least seconds until a vendor's exports have ended, by each limit alone.

        Args:
            vendor: the exports' vendor.
            cpu_s: CPU seconds of all exports of the day.
        """
        cluster, per_account = self.cluster, calls(vendor, self.changed) * self.audiences / self.accounts
        return {
            "quota": per_account / account_rate(vendor),
            "day": DAY_S if per_account > account_calls_per_day(vendor) else 0.0,
            "slots": self.task_seconds(vendor) * self.audiences / self.pool(vendor),
            "cores": cpu_s / cluster.cores,
            "starts": self.audiences * len(MEASURED_VENDORS) / cluster.starts_a_second,
            "triggerer": self.audiences * (starts(vendor) > 1) * JOB_S / TRIGGERS,
        }


@dataclass(slots=True)
class Group:
    """Tasks of one vendor that started together.

    Attributes:
        tasks: number of tasks.
        start_s: seconds until each task runs.
        plan_cpu_s: CPU seconds that each task still needs before its first call.
        calls: calls that each task still has to make.
    """

    vendor: str
    tasks: int
    start_s: float
    plan_cpu_s: float
    calls: float


@dataclass(slots=True)
class Result:
    """Seconds until the last export of each vendor has sent everything, and what all tasks used.

    Attributes:
        seconds: seconds by vendor.
        task_s: seconds for which all tasks together hold slots.
        cpu_s: CPU seconds of all tasks.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    task_s: float = 0.0
    cpu_s: float = 0.0


class Simulation:
    """A day's state; `run` advances it to the end."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.now = 0.0
        self.waiting = dict.fromkeys(MEASURED_VENDORS, day.audiences)
        self.running: list[Group] = []
        self.sent = dict.fromkeys(MEASURED_VENDORS, 0.0)
        self.midnight = DAY_S
        self.result = Result()

    def run(self) -> Result:
        """Return the result when all exports have ended."""
        next_tick = 0.0
        while self.running or any(self.waiting.values()):
            if self.now >= next_tick - NEGLIGIBLE:
                self._start()
                next_tick = self.now + TICK_S
            rates = self._rates()
            self._advance(rates, self._seconds_to_event(rates, next_tick))
        return self.result

    def _is_used_up(self, vendor: str) -> bool:
        """Return whether the vendor's accounts have used up the day's quota."""
        return self.sent[vendor] >= account_calls_per_day(vendor) * self.day.accounts - NEGLIGIBLE

    def _holds_slot(self, group: Group) -> bool:
        return group.start_s > 0 or group.plan_cpu_s > 0 or not self._is_used_up(group.vendor)

    def _start(self) -> None:
        """Start tasks of all vendors in turn, as far as slots, pools and the scheduler allow."""
        cluster = self.day.cluster
        held = dict.fromkeys(MEASURED_VENDORS, 0)
        for group in self.running:
            held[group.vendor] += group.tasks * self._holds_slot(group)
        free = min(cluster.slots - sum(held.values()), int(cluster.starts_a_second * TICK_S))
        started = dict.fromkeys(MEASURED_VENDORS, 0)
        while free >= BUNDLE:
            ready = [v for v in MEASURED_VENDORS if self.waiting[v] and held[v] + started[v] < self.day.pool(v)]
            if not ready:
                break
            vendor = max(ready, key=lambda name: self.waiting[name])  # tasks of all vendors were queued in turn
            bundle = min(BUNDLE, self.waiting[vendor])
            started[vendor] += bundle
            self.waiting[vendor] -= bundle
            free -= bundle
        for vendor, tasks in started.items():
            if tasks:
                times = starts(vendor)
                cpu_s = plan_cpu_s(vendor) + times * cluster.start_cpu_s
                amounts = (times * cluster.start_s, cpu_s, calls(vendor, self.day.changed))
                self.running.append(Group(vendor, tasks, *amounts))

    def _rates(self) -> list[float]:
        """Return for each group how fast its current amount falls: seconds, CPU seconds or calls per second."""
        cluster, changed = self.day.cluster, self.day.changed
        senders = dict.fromkeys(MEASURED_VENDORS, 0)
        for group in self.running:
            senders[group.vendor] += group.tasks * (group.start_s <= 0 and group.plan_cpu_s <= 0)
        rates, cores = [], 0.0
        for group in self.running:
            if group.start_s > 0:
                rates.append(1.0)
                continue
            if group.plan_cpu_s > 0:
                rates.append(cluster.task_cores)
                cores += group.tasks * cluster.task_cores
                continue
            per_call = cpu_s_per_call(group.vendor, changed)
            accounts = min(self.day.accounts, senders[group.vendor])
            fair = account_rate(group.vendor) * accounts / senders[group.vendor]
            rate = 0.0 if self._is_used_up(group.vendor) else min(task_rate(group.vendor), fair)
            rates.append(min(rate, cluster.task_cores / per_call))
            cores += group.tasks * rates[-1] * per_call
        share = min(1.0, cluster.cores / cores) if cores else 1.0
        return [rate * (1.0 if g.start_s > 0 else share) for g, rate in zip(self.running, rates, strict=True)]

    def _seconds_to_event(self, rates: list[float], next_tick: float) -> float:
        """Return the seconds until a group's amount is zero, a day's quota is used up, or something can start."""
        events = [self.midnight - self.now]
        calls_a_second = dict.fromkeys(MEASURED_VENDORS, 0.0)
        for group, rate in zip(self.running, rates, strict=True):
            amount = group.start_s or group.plan_cpu_s or group.calls
            if rate > 0:
                events.append(amount / rate)
            if group.start_s <= 0 and group.plan_cpu_s <= 0:
                calls_a_second[group.vendor] += group.tasks * rate
        for vendor, rate in calls_a_second.items():
            if rate > 0:
                events.append((account_calls_per_day(vendor) * self.day.accounts - self.sent[vendor]) / rate)
        busy = sum(group.tasks for group in self.running if self._holds_slot(group))
        if any(self.waiting.values()) and busy + BUNDLE <= self.day.cluster.slots and self._can_start():
            events.append(next_tick - self.now)
        return max(min(events), NEGLIGIBLE)

    def _can_start(self) -> bool:
        held = dict.fromkeys(MEASURED_VENDORS, 0)
        for group in self.running:
            held[group.vendor] += group.tasks * self._holds_slot(group)
        return any(self.waiting[vendor] and held[vendor] < self.day.pool(vendor) for vendor in MEASURED_VENDORS)

    def _advance(self, rates: list[float], seconds: float) -> None:
        """Advance the time, and reduce each group's current amount by its rate."""
        self.now += seconds
        for group, rate in zip(self.running, rates, strict=True):
            self.result.task_s += group.tasks * seconds * self._holds_slot(group)
            used = rate * seconds
            if group.start_s > 0:
                group.start_s = _remaining(group.start_s, used)
            elif group.plan_cpu_s > 0:
                group.plan_cpu_s = _remaining(group.plan_cpu_s, used)
                self.result.cpu_s += group.tasks * used
            else:
                group.calls = _remaining(group.calls, used)
                self.sent[group.vendor] += group.tasks * used
                self.result.cpu_s += group.tasks * used * cpu_s_per_call(group.vendor, self.day.changed)
                if not group.calls:
                    self.result.seconds[group.vendor] = self.now
        self.running = [group for group in self.running if group.start_s or group.plan_cpu_s or group.calls]
        if self.now >= self.midnight - NEGLIGIBLE:
            self.midnight += DAY_S
            self.sent = dict.fromkeys(MEASURED_VENDORS, 0.0)


def _remaining(amount: float, used: float) -> float:
    """Return what remains of an amount; 0 if it is negligible."""
    return amount - used if amount - used > NEGLIGIBLE else 0.0
