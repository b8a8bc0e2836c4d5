"""From a config node to an object: allowed targets only, signatures checked before anything is built."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vitlab.config import signature
from vitlab.errors import VitlabError, did_you_mean

# Not all of torch: torch.load, torch.hub and torch.utils.cpp_extension would run a stranger's code. Nor all of vitlab:
# what it is run with starts processes, and reads configs.
ALLOWED = (
    *("vitlab.models", "vitlab.data", "vitlab.augment", "vitlab.objectives", "vitlab.optim"),
    *("vitlab.engine.trainer", "vitlab.tracking.wandb", "torch.nn", "torch.optim"),
    *("torchvision.models", "torchvision.ops", "torchvision.transforms"),
)
# What a constructor raises when a setting is of the wrong kind or size: "abc", a list too short, a zero.
_REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, OSError)


def build(cfg: DictConfig, key: str, allow: Sequence[str] = ()) -> Any:
    """Build the object that the node ``key`` of ``cfg`` describes.

    Args:
        cfg: the whole resolved config.
        key: name of the node, ``model`` say; errors are told under this name.
        allow: packages of the user's own that may be built from, besides ``ALLOWED``.

    Raises:
        VitlabError: ``allow`` is no list of names, a target lies outside the allowed packages or is not to be found, an
            argument is not one of the target's or is missing, or a value is refused by it.
    """
    if isinstance(allow, str) or not isinstance(allow, Sequence) or not all(isinstance(name, str) for name in allow):
        raise VitlabError(f"allow_targets={allow} is no list of packages; try allow_targets=[my_lab]")
    for name, node in _targets(OmegaConf.to_container(cfg[key], resolve=True), key):
        signature.check(name, node, _locate(name, node["_target_"], allow))
    with refusals_of(key):
        return instantiate(cfg[key], _convert_="all")


@contextmanager
def refusals_of(key: str) -> Iterator[None]:
    """Turn what a part refuses, a ``ValueError`` of a constructor say, into one message under ``key``."""
    try:
        yield
    except InstantiationException as error:
        cause = error.__cause__ or error
        if not isinstance(cause, _REFUSALS) and "can't allocate memory" not in str(cause):
            raise
        raise VitlabError(f"{key}: {cause}") from error
    except _REFUSALS as error:
        raise VitlabError(f"{key}: {error}") from error


def _targets(plain: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every ``(key, node)`` in and below ``plain`` that has a ``_target_``, lists included."""
    if isinstance(plain, dict):
        if "_target_" in plain:
            yield name, plain
        children = [(f"{name}.{key}", child) for key, child in plain.items()]
    elif isinstance(plain, list):
        children = [(f"{name}[{i}]", child) for i, child in enumerate(plain)]
    else:
        return
    for child_name, child in children:
        yield from _targets(child, child_name)


def _locate(name: str, target: Any, allow: Sequence[str]) -> Any:
    allowed = (*ALLOWED, *allow)
    if not isinstance(target, str) or not _lies_in(target, allowed):
        hint = "add a package of your own with allow_targets=[my_package]"
        raise VitlabError(f"{name}._target_={target} is not in the allowed packages ({', '.join(allowed)}); {hint}")
    try:
        found = resolve_name(target)
    except Exception as error:
        package, _, last = target.rpartition(".")
        raise VitlabError(f"{name}._target_={target} is not to be found{_neighbours(package, last)}") from error
    # A path can lead out of its package through what a module imports: vitlab.models.vit.os.system.
    is_theirs = callable(found) and _lies_in(f"{getattr(found, '__module__', '')}.", allowed)
    if not is_theirs or not (_lies_in(target, allow) or _is_public(target, found)):
        raise VitlabError(f"{name}._target_={target} is not a class or function of the allowed packages")
    return found


def _is_public(target: str, found: Any) -> bool:
    """Whether it is offered as a part: what is private is not, nor is a method, which may be called on anything."""
    private = any(word.startswith("_") for word in target.split("."))
    return not private and "." not in getattr(found, "__qualname__", "")


def _lies_in(path: str, packages: Sequence[str]) -> bool:
    return any(path.startswith(f"{package}.") for package in packages)


def _neighbours(package: str, name: str) -> str:
    try:
        return did_you_mean(name, vars(resolve_name(package)))
    except Exception:
        return ""
