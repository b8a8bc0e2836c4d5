"""The reference of the options: a page for each config group, from the files of conf/ and what they build.

A setting means what the docstring of its ``_target_`` says of the argument, and what the comment beside it adds.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import getdoc, getmro, isclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import griffe
import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_MAIN = "train.yaml"
_NO_SETTINGS = ("defaults", "hydra", "_target_", "_partial_")


@dataclass(frozen=True)
class Setting:
    """One key of a file: its value as it is written there, and what it means."""

    key: str
    value: str
    meaning: str
    comment: str


@dataclass(frozen=True)
class Option:
    """One file of a group."""

    name: str
    about: str
    commands: tuple[str, ...]
    target: str | None
    settings: tuple[Setting, ...]
    parts: tuple[tuple[str, str], ...]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and name them in the navigation."""
    conf = Path(config.docs_dir).parent / "conf"
    sys.path.insert(0, str(conf.parent))
    pages = {"options/index.md": commands_page(conf)}
    pages |= {page_of(group): group_page(conf, group) for group in groups(conf)}
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    for section in _sections(config.nav):
        if "Options" in section:
            section["Options"] += list(pages)
    return files


def _sections(nav: Any) -> Iterator[dict[str, Any]]:
    for item in nav or []:
        if isinstance(item, dict):
            yield item
            for inner in item.values():
                yield from _sections(inner if isinstance(inner, list) else [])


def groups(conf: Path) -> list[str]:
    """Every folder of ``conf`` that has options, as Hydra names it: ``model/attention``."""
    return sorted({path.parent.relative_to(conf).as_posix() for path in conf.glob("*/**/*.yaml")})


def options(conf: Path, group: str) -> list[Option]:
    """The options of a group, by their names."""
    return [option(path) for path in sorted((conf / group).glob("[!_]*.yaml"))]


def page_of(group: str) -> str:
    """Where the page of a group is on the site."""
    return f"options/{group.replace('/', '-')}.md"


def commands_page(conf: Path) -> str:
    """What each command takes besides the groups."""
    rows = [
        f"| [`{group}`]({page_of(group).removeprefix('options/')}) | {_names(conf, group)} |" for group in groups(conf)
    ]
    text = ["# Commands and groups\n", "Made from `conf/`. A group is chosen as in `model/attention=window`, a setting"]
    text += ["as in `model.depth=4`.\n", "| group | options |\n|---|---|", *rows, ""]
    for path in sorted(conf.glob("*.yaml"), key=lambda path: (path.name != _MAIN, path.name)):
        one = option(path)
        text += [f"\n## vitlab.{one.name}\n", one.about, *_code(one.commands), *_table(one.settings)]
    return "\n".join(text)


def group_page(conf: Path, group: str) -> str:
    """The options of a group with all their settings."""
    default = _defaults(conf).get(group)
    shared = [s for path in sorted((conf / group).glob("_*.yaml")) for s in option(path).settings]
    text = [f"# {group}\n", f"`{group}=NAME` chooses one" + (f"; without it, it is `{default}`." if default else ".")]
    text += ["\n| option | what it is |\n|---|---|"]
    text += [f"| [`{one.name}`](#{one.name}) | {_cell(one.about)} |" for one in options(conf, group)]
    text += ["\n## What all have\n\nWhere it says `???`, each has its own.", *_table(shared)] if shared else []
    for one in options(conf, group):
        text += [f"\n## {one.name}\n", one.about, *_code(one.commands)]
        text += [f"\nBuilds `{one.target}`."] if one.target else []
        with_parts = [f"`{key.lstrip('/') if key[0] == '/' else f'{group}/{key}'}={name}`" for key, name in one.parts]
        text += ["\nWith " + ", ".join(with_parts) + "."] if with_parts else []
        own = [s for s in one.settings if s not in shared]
        chosen = {key.lstrip("/"): name for key, name in one.parts}
        text += _table([s if s.meaning else replace(s, meaning=meaning_elsewhere(conf, s.key, chosen)) for s in own])
    return "\n".join(text)


def meaning_elsewhere(conf: Path, key: str, chosen: Mapping[str, str]) -> str:
    """What a dotted key of the whole config means where another group, with an option ``chosen``, has the setting."""
    words = key.removeprefix("grid.").split(".")
    for length in range(len(words) - 1, 0, -1):
        group = "/".join(words[:length])
        files = sorted((conf / group).glob("*.yaml"), key=lambda path: (path.stem != chosen.get(group), path.name))
        found = [s for path in files for s in option(path).settings]
        if meant := next((s.meaning for s in found if s.key == ".".join(words[length:]) and s.meaning), None):
            return meant
    return next((s.meaning for s in option(conf / _MAIN).settings if s.key == words[-1]), "")


def option(path: Path) -> Option:
    """What the file ``path`` says, with all that it takes over from others of its folder."""
    lines = path.read_text().replace("# @package _global_\n", "").splitlines()
    about = lines[0].removeprefix("# ")
    commands = tuple(line.lstrip("# ") for line in lines if line.startswith("#   python -m "))
    settings: dict[str, Setting] = {}
    parts: dict[str, str] = {}
    target = _read(path, settings, parts)
    described = tuple(replace(s, meaning=_meaning(s, target, path)) for s in settings.values())
    return Option(path.stem, about, commands, target, tuple(s for s in described if s.value), tuple(parts.items()))


def _read(path: Path, settings: dict[str, Setting], parts: dict[str, str]) -> str | None:
    """Collect the settings of a file, those of the files it builds on first; what it builds."""
    text = path.read_text()
    plain: dict[str, Any] = yaml.safe_load(text) or {}
    target = None
    for item in plain.get("defaults", []):
        if isinstance(item, str) and (path.parent / f"{item}.yaml").exists():
            target = _read(path.parent / f"{item}.yaml", settings, parts) or target
        elif isinstance(item, dict):
            parts |= {key.split()[-1].partition("@")[0]: name for key, name in item.items() if name is not None}
    for setting in _settings(yaml.compose(text), text.splitlines(), ""):
        before = settings.get(setting.key)
        comment = setting.comment or (before.comment if before else "")
        settings[setting.key] = replace(setting, comment=comment)
    for key in [key for key in settings if any(other.startswith(f"{key}.") for other in settings)]:
        del settings[key]  # a slot that was null and is now filled
    return plain.get("_target_", target)


def _settings(node: yaml.MappingNode, lines: list[str], prefix: str, within: str = "") -> Iterator[Setting]:
    """Each value with its dotted key and the comment at the end of its line; ``meaning`` is the target so far."""
    for key, value in node.value:
        if key.value in _NO_SETTINGS:
            continue
        name = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            inner = next((v.value for k, v in value.value if k.value == "_target_"), within)
            yield from _settings(value, lines, f"{name}.", inner)
            continue
        written = lines[value.start_mark.line][value.start_mark.column : value.end_mark.column]
        rest = lines[value.end_mark.line][value.end_mark.column :].strip()
        yield Setting(name, written or "null", within, rest.removeprefix("#").strip())


def _meaning(setting: Setting, target: str | None, path: Path) -> str:
    within = setting.meaning or target
    said = arguments(within).get(setting.key.rpartition(".")[2], "") if within else ""
    adds = _words(setting.comment) - _words(said)
    parts = (said, setting.comment if len(adds) > 1 or not said else "")
    return "; ".join(part.rstrip(".") for part in parts if part)


def _words(text: str) -> set[str]:
    """Those that carry a meaning of their own, roughly: so that nothing is said twice."""
    return {word[:5] for word in re.findall(r"[a-zA-Z]{4,}", text.lower())}


def arguments(target: str) -> dict[str, str]:
    """What the docstring of a class or function of vitlab, and of those it is derived from, says of each argument."""
    if not target.startswith("vitlab."):
        return {}  # torch's are as long as its pages
    found: dict[str, str] = {}
    built = resolve_name(target)
    for one in getmro(built) if isclass(built) else [built]:
        if not str(one.__module__).startswith("vitlab."):
            continue
        for section in griffe.Docstring(getdoc(one) or "", lineno=1).parse("google", warnings=False):
            if section.kind is griffe.DocstringSectionKind.parameters:
                for parameter in section.value:
                    names = parameter.name.split(", ")
                    found |= {name: " ".join(parameter.description.split()) for name in names if name not in found}
    return found


def _defaults(conf: Path) -> dict[str, str]:
    """What a group is when nobody chooses."""
    chosen = dict(option(conf / _MAIN).parts)
    model = option(conf / "model" / f"{chosen['model']}.yaml")
    return {**chosen, **{f"model/{key}": name for key, name in model.parts}}


def _names(conf: Path, group: str) -> str:
    return ", ".join(f"`{one.name}`" for one in options(conf, group))


def _code(commands: tuple[str, ...]) -> list[str]:
    return ["\n```", *commands, "```"] if commands else []


def _table(settings: Sequence[Setting]) -> list[str]:
    if not settings:
        return ["\nNo settings of its own."]
    rows = [f"| `{s.key}` | `{_cell(s.value)}` | {_cell(s.meaning)} |" for s in settings]
    return ["\n| setting | default | meaning |\n|---|---|---|", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`").replace("<", "&lt;")
