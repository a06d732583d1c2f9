"""Omnisend, API version 2026-03-15."""

from __future__ import annotations

from .vendor import Omnisend

__all__ = ["Omnisend"]
