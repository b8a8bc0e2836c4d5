"""Keys and passwords are used and not written down: not in a config, nor in a log, nor in the name of a folder."""

import os
import re
from collections.abc import Iterator
from typing import Any

HIDDEN = "***"
_PASSWORD = r"pass(?:word|wd|phrase)"  # noqa: S105 -- how one is called
_KEY = r"(?:api|access|secret|private)_?key|(?:access|auth)_?token"
_TOKEN = r"(?<!class_)(?<!distillation_)token"  # noqa: S105 -- those of a ViT are none
_WORD = rf"(?:{_KEY}|{_PASSWORD}|secret|{_TOKEN}|credentials?|authorization)"
_NAME = re.compile(rf"(?i)(?:.*[._-])?{_WORD}(?:_?\d+)?")
_NAME_OF_PASSWORD = re.compile(rf"(?i)(?:.*[._-])?{_PASSWORD}")
_BEFORE = r"(?:(?<![\w.+~/-])[\w.+~/-]*[._-])?"  # from the beginning of the word on, so that a long text is read once
_QUOTED = r"'[^']*'|\"[^\"]*\""
# A list of values goes on behind a comma, and other settings begin there.
_TYPED = re.compile(rf"(?i)({_BEFORE}{_WORD}(?:_?\d+)?=)({_QUOTED}|[^\s,{{}}]+(?:,[^\s,={{}}]+(?=[,\s}}]|$))*)")
# As in YAML and JSON, where a token may also be that of a model: then it is one that looks like a key.
_NOTED = re.compile(rf"(?i)({_BEFORE}{_WORD}(?:_?\d+)?['\"]?: *)({_QUOTED}|(?=[\w+/=-]*\d)[\w+/=-]{{12,}})")
_IN_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_HARMLESS = re.compile(r"(?i)true|false|null|none|[-+.\de]+|\*+")
_SHORTEST = 8  # a shorter value of the environment may be any word


def without_secrets(plain: Any, key: str = "") -> Any:
    """``plain``, nested dicts and lists, with ``***`` in place of each secret.

    A secret is a text under a key that says so (``api_key``, ``password``, ``token``), such a pair inside of a text, a
    name and password in a URL, and what a variable of the environment with such a name holds, wherever it stands.
    """
    if isinstance(plain, dict):
        return {name: without_secrets(value, str(name)) for name, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [without_secrets(value, key) for value in plain]
    if _NAME_OF_PASSWORD.fullmatch(key) and isinstance(plain, str | int) and not isinstance(plain, bool):
        return HIDDEN
    if not isinstance(plain, str):
        return plain
    if _NAME.fullmatch(key) and not _HARMLESS.fullmatch(plain) and not plain.startswith("${"):
        return HIDDEN
    return hidden_in(plain)


def hidden_in(text: str) -> str:
    """``text`` with ``***`` in place of each secret."""
    for value in _of_environment():
        text = text.replace(value, HIDDEN)
    text = _IN_URL.sub(HIDDEN, text)
    for pattern in (_TYPED, _NOTED):
        text = pattern.sub(lambda pair: pair[0] if _HARMLESS.fullmatch(pair[2]) else pair[1] + HIDDEN, text)
    return text


def hidden_override(override: str) -> str:
    """``override`` with ``***`` in place of all that stands behind the name of a secret, spaces and commas included."""
    key, equals, value = override.partition("=")
    if equals and _NAME.fullmatch(key) and not _HARMLESS.fullmatch(value):
        return f"{key}={HIDDEN}"
    return hidden_in(override)


def forgotten(plain: Any) -> Any:
    """``plain`` with null in place of each ``***``: who goes on with a run gives its keys once more."""
    if isinstance(plain, dict):
        return {name: forgotten(value) for name, value in plain.items()}
    if isinstance(plain, list):
        return [forgotten(value) for value in plain]
    return None if plain == HIDDEN else plain


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if (_NAME.fullmatch(name) or name.endswith("_KEY")) and len(value) >= _SHORTEST:
            yield value
