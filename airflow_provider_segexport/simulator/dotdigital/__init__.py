"""dotdigital, API v2 and contacts v3."""

from __future__ import annotations

from .vendor import Dotdigital

__all__ = ["Dotdigital"]
