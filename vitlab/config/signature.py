"""Whether settings fit what a target takes: their names, and their kinds where its annotations say them."""

import inspect
import math
import types
from collections.abc import Callable, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from vitlab.errors import VitlabError, did_you_mean

_RESERVED = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}
_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    type(None): "null",
}


def check(name: str, node: dict[str, Any], target: Callable[..., Any]) -> None:
    """Refuse settings that ``target`` does not take, and such as it needs and that are missing.

    Args:
        name: of the node, ``model.attention`` say.
        node: its settings.
        target: the class or function that its ``_target_`` names.

    Raises:
        VitlabError: the first setting that is unknown, of the wrong kind, or missing.
    """
    parameters, is_open = _parameters(target)
    for key in node.keys() - _RESERVED:
        if key in parameters:
            _check_kind(f"{name}.{key}", node[key], parameters[key].annotation)
            if node[key] is None and not node.get("_partial_"):
                _refuse_nothing(f"{name}.{key}", parameters[key].annotation)
        elif not is_open:
            legal = ", ".join(parameters) or "no settings"
            hint = did_you_mean(str(key), parameters)
            hint = hint or f"; ~{name}.{key} leaves it out"
            raise VitlabError(f"{name}.{key} is no setting of this part{hint} ({node['_target_']} takes {legal})")
    missing = [key for key, p in parameters.items() if p.default is p.empty and key not in node]
    if missing and not node.get("_partial_") and "_args_" not in node:
        raise VitlabError(f"{name} lacks {', '.join(missing)}, which {node['_target_']} needs")


def _parameters(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """What ``target`` takes by name, and whether it takes anything else besides.

    A class of vitlab that hands ``**options`` on to the class it extends takes what that one takes.
    """
    found, is_open = _own_parameters(target)
    if is_open and inspect.isclass(target) and target.__module__.startswith("vitlab."):
        for base in target.__mro__[1:]:
            if "__init__" in vars(base):
                more, is_open = _own_parameters(base)
                found = {**more, **found}
            if not is_open:
                break
    return found, is_open


def _own_parameters(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    parameters = inspect.signature(target).parameters.values()
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # annotations of a stranger's class may name what is not there
        hints = {}
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = {p.name: p.replace(annotation=hints.get(p.name, Any)) for p in parameters if p.kind in by_name}
    return found, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _check_kind(key: str, value: Any, annotation: Any) -> None:
    told = "null" if value is None else value
    is_list = isinstance(value, list) and all(_is_of(one, float) for one in value)
    if annotation == Sequence[float] and not is_list:
        raise VitlabError(f"{key}={told} is not a list of numbers")
    if _is_pair(annotation) and not (is_list and len(value) == 2):
        raise VitlabError(f"{key}={told} is not a list of two numbers")
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    if not all(kind in _KINDS for kind in kinds) or any(_is_of(value, kind) for kind in kinds):
        return
    wanted = " or ".join(_KINDS[kind] for kind in kinds)
    raise VitlabError(f"{key}={told} is not {wanted}")


def _refuse_nothing(key: str, annotation: Any) -> None:
    """Null in place of a part; in what is built only in part it may come later."""
    if inspect.isclass(annotation) and annotation is not Any and annotation not in _KINDS:
        raise VitlabError(f"{key}=null is missing: this part needs a {annotation.__name__}")


def _is_pair(annotation: Any) -> bool:
    """Whether it stands for two numbers, as those of torch's optimizers do, which take tensors as well."""
    kinds = get_args(annotation) if get_origin(annotation) is tuple else ()
    return len(kinds) == 2 and all(kind is float or float in get_args(kind) for kind in kinds)


def _is_of(value: Any, kind: Any) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)
