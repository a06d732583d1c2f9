"""An export that must fail with certain words, and with nothing sent."""

from __future__ import annotations


def refused(stage, *expected, **options):
    """Run an export that must fail with these words, and with nothing sent; returns what it said."""
    run = stage.export(**options)
    assert "failed" == run.task().state
    assert [] == [word for word in expected if word not in run.error], run.error
    assert stage.nothing_was_sent()
    assert "Traceback" not in run.error
    return run.error
