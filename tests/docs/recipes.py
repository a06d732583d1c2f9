"""The files of the cookbook's recipes, and a segment as they read it."""

from __future__ import annotations

import pandas as pd
from docs.pages import DOCS, blocks

PAGE = {block.title: block for block in blocks(DOCS / "cookbook.md") if block.title}


def frame(count, *, upper=False):
    columns = {"email": [f"p{n}@example.com" for n in range(count)], "first_name": [f"First{n}" for n in range(count)]}
    return pd.DataFrame({name.upper() if upper else name: values for name, values in columns.items()})
