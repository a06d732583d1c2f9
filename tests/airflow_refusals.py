"""Runs an export that must fail with a given message and send nothing."""

from __future__ import annotations


def refused(stage, *expected, **options):
    """Run an export that must fail with this message and send nothing; return its error."""
    run = stage.export(**options)
    assert "failed" == run.task().state
    assert [] == [word for word in expected if word not in run.error], run.error
    assert stage.nothing_was_sent()
    assert "Traceback" not in run.error
    return run.error
