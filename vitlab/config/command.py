"""How every command starts: Hydra composes, the task runs, and what goes wrong ends as one message."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from io import TextIOWrapper
from typing import Any, NoReturn

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vitlab.config.compose import HYDRA_VERSION_BASE, conf_dir, register_resolvers
from vitlab.config.secrets import hidden_in
from vitlab.errors import Interrupted, VitlabError, did_you_mean, first_line, printable

_PATHS = ("run", "other", "resume", "output", "sweep.resume", "images", "data_root")
_FAILED, _WRONG_COMMAND_LINE = 1, 2


@contextmanager
def _stoppable() -> Iterator[None]:
    """Where a Ctrl-C that nothing else takes, also while an error is being explained, is one message."""
    try:
        yield
    except KeyboardInterrupt:
        _fail("stopped", 130)


@_stoppable()
def run_command(
    task: Callable[[DictConfig], Any], config_name: str, flags: Sequence[str] = (), always_sweeps: bool = False
) -> None:
    """Run ``task`` under Hydra with ``conf/<config_name>.yaml``; exit code 1 or 2 with one message if it is refused.

    ``HYDRA_FULL_ERROR=1`` in the environment asks for the traceback, as in every Hydra application.

    Args:
        task: what the command does.
        config_name: of its config; also that of the command.
        flags: keys that may be typed as ``--key value`` and ``--key=value`` too.
        always_sweeps: whether ``--multirun`` goes without saying, as it does where an argument speaks of a sweep.
    """
    register_resolvers()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the name of a file need not be Unicode
    sys.argv[1:] = [_quoted(argument) for argument in _without_dashes(sys.argv[1:], flags)]
    if always_sweeps or any(argument.startswith(("sweep=", "sweep.")) for argument in sys.argv[1:]):
        sys.argv[1:] = _as_multirun(sys.argv[1:])
    if "--multirun" in sys.argv or "-m" in sys.argv:
        _refuse_secrets(sys.argv[1:])
    asked_for_traceback = bool(os.environ.get("HYDRA_FULL_ERROR"))
    if not asked_for_traceback:
        task = _telling(task)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, instead of printing a message of its own.
    try:
        hydra.main(version_base=HYDRA_VERSION_BASE, config_path=str(conf_dir()), config_name=config_name)(task)()
    except Interrupted as stop:
        sys.exit(128 + stop.signum)
    except BrokenPipeError:  # the reader went away: --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_FAILED)
    except (VitlabError, HydraException, OmegaConfBaseException) as error:
        if asked_for_traceback:
            raise
        code = _WRONG_COMMAND_LINE if isinstance(error, OverrideParseException) else _FAILED
        _fail(explain(error, config_name, sys.argv[1:]), code)
    except (ValueError, RecursionError) as error:
        is_null_group = str(error).startswith("Config group override must be")  # experiment=null, say
        if asked_for_traceback or (_can_be_parsed(sys.argv[1:]) and not is_null_group):
            raise
        _fail(f"an argument cannot be read: {first_line(error)}", _WRONG_COMMAND_LINE)
    except OSError as error:  # of Hydra, which makes the folder of the run
        if asked_for_traceback:
            raise
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), _FAILED)
    finally:
        if not asked_for_traceback:
            del os.environ["HYDRA_FULL_ERROR"]


def _without_dashes(arguments: Sequence[str], flags: Sequence[str]) -> Iterator[str]:
    """``arguments`` with ``--key value`` and ``--key=value`` as ``key=value``, for the keys in ``flags``."""
    rest = iter(arguments)
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if key not in flags or not argument.startswith("--"):
            yield argument
            continue
        value = value if equals else next(rest, "")
        if not value or value.startswith("--"):
            _fail(f"--{key} needs a value", _WRONG_COMMAND_LINE)
        yield f"{key}={value}"


def _as_multirun(arguments: Sequence[str]) -> list[str]:
    """``arguments`` that speak of a sweep, with ``--multirun`` unless they ask for something else (``--cfg``)."""
    asks = any(argument.startswith("-") and not argument.startswith("--config-") for argument in arguments)
    return list(arguments) if asks else [*arguments, "--multirun"]


def _can_be_parsed(arguments: Sequence[str]) -> bool:
    """Whether Hydra's parser takes ``arguments``: a number of 5,000 digits or a thousand brackets are too much."""
    try:
        OverridesParser.create().parse_overrides([a for a in arguments if not a.startswith("-")])
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_secrets(arguments: Sequence[str]) -> None:
    """A sweep has to write down what was typed, for the jobs that are still to come."""
    for argument in arguments:
        if (hidden := hidden_in(argument)) != argument:
            _fail(f"{hidden} would be written down by a sweep; give it by the environment", _WRONG_COMMAND_LINE)


def _quoted(argument: str) -> str:
    """``argument`` with a path in quotes: the name of a sweep's job, say, holds signs that Hydra would read."""
    key, _, value = argument.partition("=")
    is_list = key == "images" and value.startswith("[")
    if key not in _PATHS or not value or value == "null" or value[0] in "\"'" or is_list:
        return argument
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def _telling(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """``task`` that tells of its refusal at once; in a sweep the other jobs go on all the same."""

    @wraps(task)
    def telling(cfg: DictConfig) -> Any:
        try:
            return task(cfg)
        except (VitlabError, OmegaConfBaseException) as error:
            if HydraConfig.get().mode == RunMode.RUN:
                _fail(explain(error), _FAILED)  # here, because Hydra would put words of its own before it
            _tell(explain(error))
            raise

    return telling


def _fail(message: str, code: int) -> NoReturn:
    _tell(message)
    sys.exit(code)


def _tell(message: str) -> None:
    lines = hidden_in(message).splitlines()
    print(f"vitlab: {chr(10).join(map(printable, lines))}", file=sys.stderr)


def explain(error: Exception, config_name: str = "train", arguments: Sequence[str] = ()) -> str:
    """One message for ``error``, with the legal names nearest to a misspelt one."""
    if isinstance(error, VitlabError):
        return str(error)
    if refused := re.search(r"VitlabError raised while resolving interpolation: (.*)", str(error)):
        return refused[1]
    if listed := re.search(r"Ambiguous value for argument '([^']*)'", str(error)):
        return f"{listed[1]} is a list of values: add --multirun for one run each, or write [a,b] for one list"
    if isinstance(error, OverrideParseException):
        hint = "write key=value, as in model.depth=4, and a value with signs in quotes"
        return f"'{error.override}' is not an override; {hint}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        options = [option for option in error.options if not option.startswith("_")]
        return f"{group}={name}: there is no such option{did_you_mean(name, options)} (there are: {', '.join(options)})"
    unknown = re.search(r"Could not (?:override|delete) '([^']+)'", str(error))
    if unknown:
        key = unknown[1]
        legal = [name for name in _legal_keys(config_name, key, arguments) if name != key]
        return f"{key} is no setting here{did_you_mean(key, legal)}"
    return first_line(error)


def _legal_keys(config_name: str, wrong: str, arguments: Sequence[str]) -> list[str]:
    """Keys and groups that could have been meant: those of the same command line without its wrong part."""
    overrides = [a for a in arguments if "=" in a and not a.startswith("-") and not a.startswith(wrong)]
    groups = [str(folder.relative_to(conf_dir())) for folder in conf_dir().glob("**/") if folder != conf_dir()]
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE):
        try:
            cfg = hydra.compose(config_name, overrides)
        except HydraException:  # the rest is no config of one run either: lists of a sweep
            cfg = hydra.compose(config_name)
    return [*groups, *_keys(OmegaConf.to_container(cfg))]


def _keys(plain: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of nested dicts."""
    if isinstance(plain, dict):
        for name, child in plain.items():
            yield f"{prefix}{name}"
            yield from _keys(child, f"{prefix}{name}.")
