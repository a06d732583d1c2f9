"""Runs that take the lease of an audience, with a clock that only sleeps move."""

from __future__ import annotations

from airflow_provider_segexport.storage.lease import Lease

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
OWNER, OTHER = "sync/export/run 1/-1", "backfill/export/run 7/3"


class Audience:
    """An audience's path, and a clock that only sleeps move."""

    def __init__(self, path):
        self.path = path
        self.now = NOW
        self.ended = set()
        self.deleted = set()
        self.taken = []

    def lease(self, owner=OWNER, **options):
        alive = lambda owner: False if owner in self.ended else None  # noqa: E731
        gone = lambda owner, airflow: airflow == "ours" and owner in self.deleted  # noqa: E731
        lease = Lease(
            self.path,
            owner,
            clock=lambda: self.now,
            sleep=self.sleep,
            is_task_running=alive,
            is_holder_gone=gone,
            **options,
        )
        self.taken.append(lease)
        return lease

    def sleep(self, seconds):
        self.now += seconds

    @property
    def files(self):
        return sorted(path.name for path in (self.path / "lease").iterdir())
