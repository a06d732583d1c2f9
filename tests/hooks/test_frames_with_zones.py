"""Times of several time zones in one column of a DataFrame keep their dates, or are refused."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.hooks import frames

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
NAIVE = dt.datetime(2000, 5, 2)  # noqa: DTZ001 - naive on purpose


@pytest.mark.parametrize(
    "born",
    [
        [NAIVE.replace(tzinfo=NEW_YORK), NAIVE.replace(tzinfo=BERLIN)],
        [NAIVE, NAIVE.replace(tzinfo=BERLIN)],
        [NAIVE.replace(tzinfo=NEW_YORK), None, NAIVE],
        [
            dt.datetime.fromisoformat("2000-01-02T00:00+01:00"),
            None,
            dt.datetime.fromisoformat("2000-05-02T00:00+02:00"),
        ],
    ],
)
def test_times_of_several_zones_whose_dates_would_change_are_refused(tmp_path, born):
    """Arrow converts all of them to the zone of the first, so a birthdate would be a day early."""
    frame = pd.DataFrame({"born": pd.Series(born, dtype=object)})
    with pytest.raises(InvalidSegment, match=r"Column 'born' .* several time zones.* To fix: .*to_datetime"):
        frames.write_frame(frame, ["born"], tmp_path / "x.parquet")


@pytest.mark.parametrize(
    "born",
    [
        [NAIVE.replace(tzinfo=BERLIN), None, NAIVE.replace(tzinfo=BERLIN, hour=23)],
        [NAIVE.replace(tzinfo=BERLIN), NAIVE.replace(tzinfo=NEW_YORK)],
        [NAIVE, pd.Timestamp(NAIVE), np.datetime64(NAIVE)],
        [NAIVE.date(), NAIVE.replace(tzinfo=BERLIN)],
    ],
)
def test_times_whose_dates_stay_are_read(tmp_path, born):
    """A column of Python's times is read if each date is the one that was given."""
    frames.write_frame(pd.DataFrame({"born": pd.Series(born, dtype=object)}), ["born"], tmp_path / "x.parquet")
    days = pq.read_table(tmp_path / "x.parquet").column("born").to_pylist()
    assert {"2000-05-02"} == {str(day)[:10] for day in days if day is not None}
