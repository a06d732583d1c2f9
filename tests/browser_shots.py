"""Screenshots for the docs, kept small."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow_home import REPO

SHOTS = Path(os.environ.get("SEGEXPORT_SCREENSHOTS") or REPO / ".ui-test" / "screenshots")
MOST_BYTES = 150_000
COLOURS = 256
SHOW_DEPLOYED_PATHS = """() => { for (const one of document.querySelectorAll("code.path"))
  one.textContent = one.textContent.replace(/^.*?\\/state\\//, "/var/lib/segexport/"); }"""


def keep(page: Any, name: str, *, clip: Any = None, full: bool = False) -> None:
    """A screenshot for the docs: few colours, small."""
    from PIL import Image  # noqa: PLC0415 - requirements/ui.txt

    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / f"{name}.png"
    page.wait_for_timeout(400)  # Airflow's own transitions
    for frame in page.frames:
        frame.evaluate(SHOW_DEPLOYED_PATHS)  # the folder of this checkout is private
    (clip or page).screenshot(path=path, **({"full_page": True} if full else {}), animations="disabled")
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    assert path.stat().st_size <= MOST_BYTES
