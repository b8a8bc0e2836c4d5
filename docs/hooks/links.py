"""Links that lead out of docs/ work on the site too: the file that one names becomes a page of it.

In the repository ``../benchmarks/RESULTS.md`` is a link of every forge. On the site a Markdown file becomes a page as
it is, and any other file a page that shows its text. Pages that the navigation does not name come under *In depth*.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_LINK = re.compile(r"(\]\()([^)\s#]+)([^)\s]*\))")
_SHOWN_AS = {".py": "python", ".yaml": "yaml", ".toml": "toml"}
_CATCH_ALL = "In depth"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside of docs/ that a page links to, and find each page a place."""
    docs = Path(config.docs_dir)
    waiting = [(f"docs/{file.src_uri}", Path(str(file.abs_src_path))) for file in files.documentation_pages()]
    while waiting:  # pages link to files that link to files
        name, path = waiting.pop()
        if path.suffix != ".md":
            continue
        for target in _targets(name, path.read_text()):
            outside = docs.parent / target
            uri = _uri(target)
            if target.startswith("docs/") or not outside.is_file() or files.get_file_from_path(uri) is not None:
                continue
            files.append(File.generated(config, uri, content=_shown(outside, target)))
            waiting.append((target, outside))
    _place_the_rest(files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links out of docs/, and those between files outside of it, towards the pages of the site."""
    home = page.file.src_uri
    name = _name(home, Path(config.docs_dir).parent)

    def turned(link: re.Match[str]) -> str:
        before, target, after = link.groups()
        uri = _uri(_resolved(name, target))
        if ":" in target or files.get_file_from_path(uri) is None:
            return link[0]
        return f"{before}{posixpath.relpath(uri, posixpath.dirname(home) or '.')}{after}"

    return _LINK.sub(turned, markdown)


def _targets(name: str, text: str) -> list[str]:
    """The files that a text of the repository links to, from the top of the repository."""
    return [_resolved(name, link[2]) for link in _LINK.finditer(text) if ":" not in link[2]]


def _resolved(name: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def _uri(target: str) -> str:
    """Where a file of the repository is on the site."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return f"repository/{target}" if target.endswith(".md") else f"repository/{target}.md"


def _name(uri: str, top: Path) -> str:
    """The file of the repository that a page of the site shows."""
    if not uri.startswith("repository/"):
        return f"docs/{uri}"
    name = uri.removeprefix("repository/")
    return name if (top / name).is_file() else name.removesuffix(".md")


def _shown(path: Path, name: str) -> str:
    text = path.read_text()
    if path.suffix == ".md":
        return text
    return f"# {path.name}\n\n`{name}`\n\n````{_SHOWN_AS.get(path.suffix, 'text')}\n{text}\n````\n"


def _place_the_rest(files: Files, config: MkDocsConfig) -> None:
    nav: list[Any] = config.nav or []
    named = str(nav)
    rest = [f.src_uri for f in files.documentation_pages() if "/" not in f.src_uri and f"'{f.src_uri}'" not in named]
    for section in nav:
        if isinstance(section, dict) and _CATCH_ALL in section:
            section[_CATCH_ALL] += sorted(rest)
