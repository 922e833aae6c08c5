"""What the site's builder does besides: files outside docs/ that pages link to become part of the site.

Pages are written to be read in the repository too, where `../README.md` and `../../specs/digits.yaml` lead
somewhere. The site has no such places: what is linked is copied under `repository/`, README.md as a page of
its own, and the links are turned there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[2]
README = "readme.md"
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[#)])")


def on_config(config: Any) -> Any:
    # Code hosts keep letters that are not ASCII in anchors; pages are written for both.
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds README.md and what is linked outside docs/, and what those link to in turn."""
    waiting = {PurePosixPath("README.md")}
    for file in files.documentation_pages():
        waiting |= _outside(file.content_string, PurePosixPath("docs") / file.src_uri)
    known: set[PurePosixPath] = set()
    while waiting - known:
        path = (waiting - known).pop()
        known.add(path)
        source = ROOT / path
        if not source.is_file():
            raise PluginError(f"{path}: linked, and not a file of the repository")
        if path.suffix == ".md":
            waiting |= _outside(source.read_text(encoding="utf-8"), path)
            text = source.read_text(encoding="utf-8")
            files.append(File.generated(config, _site_uri(path), content=text))
        else:
            files.append(File.generated(config, _site_uri(path), abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turns links that leave docs/, or that are written from outside of it, to their places on the site."""
    here = _repository_path(page.file.src_uri)
    folder = PurePosixPath(page.file.src_uri).parent

    def turned(match: re.Match[str]) -> str:
        target = _target(match[1], here)
        return match[1] if target is None else os.path.relpath(_site_uri(target), folder)

    return _LINK.sub(turned, markdown)


def _outside(text: str, page: PurePosixPath) -> set[PurePosixPath]:
    targets = {_target(link, page) for link in _LINK.findall(text)}
    return {target for target in targets if target is not None and target.parts[0] != "docs"}


def _target(link: str, page: PurePosixPath) -> PurePosixPath | None:
    """The file of the repository that a relative link leads to; of a folder its README."""
    if "://" in link or link.startswith("mailto:"):
        return None
    path = PurePosixPath(os.path.normpath(page.parent / link))
    return path / "README.md" if (ROOT / path).is_dir() else path


def _site_uri(path: PurePosixPath) -> str:
    if path.parts[0] == "docs":
        return str(path.relative_to("docs"))
    if path == PurePosixPath("README.md"):
        return README
    # Without a suffix browsers would save the file instead of showing it.
    return f"repository/{path}" if path.suffix else f"repository/{path}.txt"


def _repository_path(uri: str) -> PurePosixPath:
    if uri == README:
        return PurePosixPath("README.md")
    path = PurePosixPath(uri)
    return path.relative_to("repository") if path.parts[0] == "repository" else PurePosixPath("docs") / path
