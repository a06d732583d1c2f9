"""Files whose store fails, and rows as planning reads them."""

from __future__ import annotations

from contextlib import contextmanager

from core.factories import inspected, shared

from airflow_provider_segexport.segment_files.rows import Read, relation
from airflow_provider_segexport.stages import read


class FaultyFile:
    """A file whose store fails from some read on."""

    def __init__(self, file, error, reads):
        self.file, self.error, self.left = file, error, reads

    def read(self, size=-1):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return self.file.read(size)

    def __getattr__(self, name):
        return getattr(self.file, name)


class FaultyPlace:
    """A place that opens such files."""

    def __init__(self, path, error, reads):
        self.path, self.error, self.reads = path, error, reads

    def open(self, mode="rb"):
        if self.reads < 0:
            raise self.error
        return FaultyFile(self.path.open(mode), self.error, self.reads)

    def stat(self):
        return self.path.stat()

    def __str__(self):
        return str(self.path)


@contextmanager
def reading(paths, suppression=()):
    """The rows of files, as planning reads them."""
    files = inspected(*paths)
    with read.translate_read_errors(files, suppression):
        yield lambda: shared().rows(f"select * from {relation(shared(), files, [Read('email', 'email')])}")
