"""Masks secrets in Airflow's logs: `secret -> ***`."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from airflow.sdk.configuration import conf
from airflow.sdk.log import mask_secret

MIN_MASKED_CHARS = 5
"""Airflow's default of `[logging] min_length_masked_secret`, in characters."""


def mask(secret: object) -> None:
    """Mask a secret in logs. A short one is skipped, because Airflow does not mask it and logs a warning instead."""
    text = str(secret or "")
    if len(text) >= max(conf.getint("logging", "min_length_masked_secret", fallback=MIN_MASKED_CHARS), 1):
        mask_secret(text)


def mask_password_of(url: str) -> None:
    """Mask the password in a URL, as it is written and with its percent escapes resolved.

    Raises:
        ValueError: the text is no URL.
    """
    password = urlsplit(url).password
    mask(password)
    mask(unquote(password or ""))
