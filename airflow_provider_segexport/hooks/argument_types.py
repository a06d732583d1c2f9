"""Types in the signatures of `SegmentExportOperator` and `hook.export`. Only type checkers import this module."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias

from airflow.sdk import Asset

from airflow_provider_segexport.hooks.left_out import LeftOut

Path: TypeAlias = str | os.PathLike[str] | Asset
OptionalPaths: TypeAlias = Path | Sequence[Path] | LeftOut
OptionalText: TypeAlias = str | LeftOut
