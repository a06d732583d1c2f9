"""Constant Contact, API v3."""

from __future__ import annotations

from .vendor import ConstantContact

__all__ = ["ConstantContact"]
