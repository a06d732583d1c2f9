"""Has Airflow mask secrets: `secret -> *** in every log`."""

from __future__ import annotations

from airflow.sdk.configuration import conf
from airflow.sdk.log import mask_secret

MIN_MASKED_CHARS = 5
"""Airflow's default of `[logging] min_length_masked_secret`, in characters."""


def mask(secret: object) -> None:
    """Mask a secret in logs. Airflow warns about a shorter one than it masks, so that is not passed on."""
    text = str(secret or "")
    if len(text) >= max(conf.getint("logging", "min_length_masked_secret", fallback=MIN_MASKED_CHARS), 1):
        mask_secret(text)
