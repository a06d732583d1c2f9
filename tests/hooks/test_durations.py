"""A span of time, as a DAG file, a template or a configuration writes it."""

from __future__ import annotations

import random
from datetime import timedelta

import numpy as np
import pandas as pd
import pendulum
import pytest

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks.durations import job_timeout, seconds


@pytest.mark.parametrize(
    "given",
    [
        21_600,
        21_600.0,
        "21600",
        "6h",
        " 6 h\r\n",
        "6 Hours",
        "5h 60m",
        "5 hours, 60 minutes",
        "360min",
        "PT6H",
        "PT5H60M",
        "6:00:00",
        "0 days, 6:00:00",
        timedelta(hours=6),
        pendulum.duration(hours=6),
        pd.Timedelta(hours=6),
        np.int64(21_600),
        np.timedelta64(6, "h"),
    ],
    ids=repr,
)
def test_six_hours_in_many_forms(given):
    """Seconds, timedeltas, texts with units, ISO 8601, and a timedelta as a template renders it."""
    assert job_timeout(given) == 21_600


@pytest.mark.parametrize("seed", range(40))
def test_a_timedelta_and_its_text_are_the_same(seed):
    """A template renders a timedelta as Python prints it."""
    span = timedelta(seconds=random.Random(seed).randrange(60, 86_401))
    assert job_timeout(span) == job_timeout(str(span)) == job_timeout(str(span.total_seconds())) == span.total_seconds()
    assert seconds(str(span + timedelta(days=2)), "x") == span.total_seconds() + 2 * 86_400


@pytest.mark.parametrize(
    "given",
    [
        0,
        -1,
        59,
        86_401,
        float("nan"),
        float("inf"),
        10**400,
        True,
        "",
        "h",
        "6x",
        "six hours",
        "6h later",
        "h6",
        "-6h",
        "6:00",
        "P",
        "PT",
        "1e4",
        "٦h",
        "25h",
        "2 days",
        "9" * 5000,
        ["6h"],
        {"hours": 6},
        object,
        timedelta(days=2),
        timedelta(seconds=-1),
        b"6h",
    ],
    ids=lambda given: repr(given)[:20],
)
def test_what_is_no_span_within_the_bounds_is_refused(given):
    """The error names the argument and the forms that there are."""
    with pytest.raises(InvalidArgument, match=r"`job_timeout` is .* To fix: pass a duration from one minute to 24"):
        job_timeout(given)
