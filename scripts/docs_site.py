"""Builds the documentation site in .docs/site from docs/ and a few other pages.

Usage: .docs/venv/bin/python scripts/docs_site.py [--output FOLDER]

Pages are written for reading in the repository. The script copies them into one folder, adapts links that leave docs/,
and runs Sphinx. A broken link fails the build. The sidebar lists the versions that have a tag, each as
a folder beside this one.
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
PACKAGE = CHECKOUT / "airflow_provider_segexport" / "__init__.py"
VERSION_TAG = re.compile(r"v\d+(\.\d+)+")
PAGES_ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "airflow_provider_segexport/simulator/README.md": "simulator.md",
}
"""Pages outside of docs/, with their names on the site."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
FETCHED = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?://[^"]+)"')
"""URLs of other hosts that a reader's browser would fetch."""

FENCE = re.compile(r"^( *)(```+)[^\n]*\n.*?^\1\2\s*$", re.MULTILINE | re.DOTALL)
"""A code block."""


def pages() -> dict[Path, Path]:
    """Return the site's files: path on the site by path in the repository."""
    files = {path: path.relative_to(DOCS) for path in sorted(DOCS.rglob("*")) if path.is_file()}
    files = {path: to for path, to in files.items() if "__pycache__" not in to.parts}
    return files | {CHECKOUT / name: Path(to) for name, to in PAGES_ELSEWHERE.items()}


def with_site_links(text: str, page: Path, site_paths: dict[Path, Path]) -> str:
    """Return a page's text with links adapted to the site; code blocks are not changed.

    Args:
        text: the page's text.
        page: path of the page in the repository.
        site_paths: path on the site by path in the repository.
    """

    def replace(match: re.Match[str]) -> str:
        image, label, target, anchor = match[1], match[2], match[3], match[4] or ""
        path = (page.parent / target).resolve()
        if path in site_paths:
            link = os.path.relpath(site_paths[path], site_paths[page].parent)
            return f"{image}[{label}]({link}{anchor})"
        if not path.exists():
            raise SystemExit(f"{page.relative_to(CHECKOUT)} links to {target}, which does not exist.")
        name = str(path.relative_to(CHECKOUT))
        return f"`{name}`" if label.strip("`") in name else f"{label} (`{name}`)"

    parts, last = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(replace, text[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*parts, LINK.sub(replace, text[last:])])


def stage(folder: Path) -> None:
    """Copy the pages into a folder, with adapted links."""
    files = pages()
    for path, to in files.items():
        target = folder / to
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(with_site_links(path.read_text(), path, files))
        else:
            shutil.copyfile(path, target)


def versions(current: str, tags: str) -> list[str]:
    """Return the versions in the sidebar: this one, then those of the other tags.

    Args:
        current: the version of this checkout.
        tags: output of `git tag`, newest first.
    """
    tagged = [tag.removeprefix("v") for tag in tags.split() if VERSION_TAG.fullmatch(tag)]
    return [current, *(version for version in tagged if version != current)]


def git_tags() -> str:
    """Return the tags of the checkout, newest first; an empty text without Git."""
    command = ["git", "-C", str(CHECKOUT), "tag", "--list", "v*", "--sort=-v:refname"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - git
    except (OSError, subprocess.CalledProcessError):
        return ""


def remove_site(folder: Path) -> None:
    """Delete an earlier build; exit if the folder has other files and no build of Sphinx."""
    if folder.exists() and any(folder.iterdir()) and not (folder / ".buildinfo").exists():
        raise SystemExit(f"{folder} is not empty, and not a site. To fix: name another folder, or delete it.")
    shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Build the site; warnings of Sphinx are errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=CHECKOUT / ".docs" / "site")
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as folder:
        stage(Path(folder))
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", f"{home}/trees"]
        current = re.findall(r'^__version__ = "(.+)"', PACKAGE.read_text(), re.MULTILINE)[0]
        shown = ",".join(versions(current, git_tags()))
        environment = {
            **os.environ,
            "SEGEXPORT_DOCS_VERSIONS": shown,
            "PYTHONPATH": str(CHECKOUT),
            "AIRFLOW_HOME": home,
            "PYTHONWARNINGS": "ignore",
        }
        remove_site(output)
        built = subprocess.run(  # noqa: S603 - Sphinx, from this environment
            [*command, folder, str(output)], env=environment, check=False
        )
    if built.returncode:
        return built.returncode
    site = sorted(output.rglob("*.html"))
    fetched = {page.name: urls for page in site if (urls := FETCHED.findall(page.read_text()))}
    for page, links in fetched.items():
        print(f"WRONG: {page} fetches {', '.join(links)}")
    print(f"{len(site)} pages in {output}")
    return 1 if fetched else 0


if __name__ == "__main__":
    sys.exit(main())
