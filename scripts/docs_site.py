"""Builds the documentation into a site: `docs/ and a few pages beside it -> .docs/site`.

Usage: .docs/venv/bin/python scripts/docs_site.py [--output FOLDER]

Pages are written to be read in the repository. Here they are laid together in one folder, links that leave docs/ follow
the page to where it lies now, and Sphinx builds the site; a link that leads nowhere fails the build.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
DOCS = CHECKOUT / "docs"
ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "airflow_provider_segexport/simulator/README.md": "simulator.md",
}
"""Pages that lie outside of docs/, and their names on the site."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
FETCHED = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?://[^"]+)"')
"""What a reader's browser would ask another host for."""

FENCE = re.compile(r"^( *)(```+)[^\n]*\n.*?^\1\2\s*$", re.MULTILINE | re.DOTALL)


def pages() -> dict[Path, Path]:
    """What goes into the site: from where, to where in it."""
    found = {path: path.relative_to(DOCS) for path in sorted(DOCS.rglob("*")) if path.is_file()}
    found = {path: to for path, to in found.items() if "__pycache__" not in to.parts}
    return found | {CHECKOUT / name: Path(to) for name, to in ELSEWHERE.items()}


def moved(text: str, page: Path, to: dict[Path, Path]) -> str:
    """The page's text, with its links as they are on the site. Code is left alone."""

    def replace(found: re.Match[str]) -> str:
        image, words, target, anchor = found[1], found[2], found[3], found[4] or ""
        path = (page.parent / target).resolve()
        if path in to:
            link = os.path.relpath(to[path], to[page].parent)
            return f"{image}[{words}]({link}{anchor})"
        if not path.exists():
            raise SystemExit(f"{page.relative_to(CHECKOUT)} links to {target}, which is not there.")
        name = str(path.relative_to(CHECKOUT))
        return f"`{name}`" if words.strip("`") in name else f"{words} (`{name}`)"

    parts, last = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(replace, text[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*parts, LINK.sub(replace, text[last:])])


def stage(folder: Path) -> None:
    """Lay the pages together."""
    found = pages()
    for path, to in found.items():
        target = folder / to
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(moved(path.read_text(), path, found))
        else:
            shutil.copyfile(path, target)


def main() -> int:
    """Build; what Sphinx warns of is a failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=CHECKOUT / ".docs" / "site")
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as folder:
        stage(Path(folder))
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", f"{home}/trees"]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "AIRFLOW_HOME": home, "PYTHONWARNINGS": "ignore"}
        shutil.rmtree(output, ignore_errors=True)
        built = subprocess.run(  # noqa: S603 - Sphinx, from this environment
            [*command, folder, str(output)], env=environment, check=False
        )
    if built.returncode:
        return built.returncode
    site = sorted(output.rglob("*.html"))
    fetched = {page.name: found for page in site if (found := FETCHED.findall(page.read_text()))}
    for page, links in fetched.items():
        print(f"WRONG: {page} fetches {', '.join(links)}")
    print(f"{len(site)} pages in {output}")
    return 1 if fetched else 0


if __name__ == "__main__":
    sys.exit(main())
