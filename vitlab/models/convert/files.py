"""Weights from a file, from a folder of Hugging Face, or by the name of a model; no code in a file is ever run."""

import json
import logging
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LIBRARIES = ("timm", "hf", "torchvision")
_INSTALL = "pip install 'vitlab[export]'"
_UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, KeyError)
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
_CONFIG_KEYS = {"num_heads": ("num_attention_heads", "num_heads"), "eps": ("layer_norm_eps",), "act": ("hidden_act",)}


class _UnknownModelError(ValueError):
    """A name that the library does not have."""


@dataclass(frozen=True)
class Source:
    """Weights as they were found.

    Args:
        state: tensors by name.
        facts: what is known of their model besides: ``num_heads``, ``eps`` of its norms, ``act``.
    """

    state: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)


def is_name(weights: str) -> bool:
    """Whether ``weights`` names a model of a library, as in ``timm:vit_small_patch16_224``, and not a file."""
    return weights.partition(":")[0] in LIBRARIES and ":" in weights


def read(weights: str) -> Source:
    """The weights that the setting ``weights`` means.

    Raises:
        ValueError: there is no such file or model, or it cannot be read without running code.
    """
    if is_name(weights):
        return _fetch(weights)
    path = Path(weights).expanduser()
    if path.is_dir():
        return Source(_read_folder(path), _facts_beside(path / "model.safetensors"))
    if not path.is_file():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, siblings, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"a model by its name is {', '.join(_examples())}"
        raise ValueError(f"weights={weights}: there is no such file; {hint}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return Source(_tensors(_read_torch(path), path), _facts_beside(path))


def _examples() -> list[str]:
    return ["timm:vit_small_patch16_224", "hf:OWNER/NAME", "torchvision:vit_b_16"]


def _read_safetensors(path: Path) -> Source:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights={path} cannot be read as safetensors ({error})") from None
    facts = {"num_heads": int(metadata["num_heads"])} if metadata.get("num_heads", "").isdigit() else {}
    return Source(state, {**_facts_beside(path), **facts})


def _read_folder(folder: Path) -> dict[str, Tensor]:
    """The weights in a folder that ``save_pretrained`` wrote, in one file or in several."""
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise ValueError(f"weights={folder} is a folder without model.safetensors; name a file")
    state: dict[str, Tensor] = {}
    for file in files:
        own = _read_safetensors(file).state if file.suffix == ".safetensors" else _tensors(_read_torch(file), file)
        state |= own
    return state


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():  # of the pickle's protocol: a file that cannot be read is refused below
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" not in str(error):
            raise ValueError(f"weights={path} is no file of torch or safetensors ({_first_line(error)})") from None
        raise ValueError(
            f"weights={path} holds Python objects besides tensors, and reading those could run anything; "
            "where you trust the file, torch.load it with weights_only=False and torch.save its state dict alone"
        ) from None
    except _UNREADABLE as error:
        raise ValueError(f"weights={path} is no file of torch or safetensors ({_first_line(error)})") from None


def _tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in what a ``.pt`` file holds: by itself, wrapped, or in a checkpoint of vitlab."""
    if isinstance(loaded, dict) and {"step", "model", "ema"} <= loaded.keys():
        average = loaded["ema"]  # what evaluate takes, if there is one
        loaded = average["model"] if isinstance(average, dict) and "model" in average else loaded["model"]
    for _ in _WRAPPERS:
        if isinstance(loaded, dict) and not any(isinstance(value, Tensor) for value in loaded.values()):
            loaded = next((loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), dict)), loaded)
    if not isinstance(loaded, dict) or not any(isinstance(value, Tensor) for value in loaded.values()):
        held = (
            f"a dict of {', '.join(map(str, list(loaded)[:4]))}" if isinstance(loaded, dict) else type(loaded).__name__
        )
        raise ValueError(f"weights={path} holds no state dict but {held}; looked for {', '.join(_WRAPPERS)}")
    return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}


def _facts_beside(path: Path) -> dict[str, Any]:
    """What a config beside the weights tells: that of Hugging Face or timm, or of the run whose checkpoint it is."""
    config: Any = {}
    try:
        if path.with_name("config.json").is_file():
            config = json.loads(path.with_name("config.json").read_text())
            config = {**config, **config.get("model_args", {})}
        elif path.parent.name == "checkpoints":
            from omegaconf import OmegaConf

            config = OmegaConf.to_container(OmegaConf.load(path.parents[1] / "config.yaml"))
            config = config["model"] if isinstance(config, dict) else {}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}  # of another tool: the weights speak for themselves
    keys = {fact: next((config[key] for key in names if key in config), None) for fact, names in _CONFIG_KEYS.items()}
    return {fact: value for fact, value in keys.items() if value is not None}


def _fetch(weights: str) -> Source:
    """The weights of a model by name, from the library's cache or the network."""
    library, _, name = weights.partition(":")
    fetch: dict[str, Callable[[str], Source]] = {
        "timm": _from_timm,
        "hf": _from_hugging_face,
        "torchvision": _from_torchvision,
    }
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # what they say of each attempt is not for the user; the last word comes below
    try:
        return fetch[library](name)
    except _UnknownModelError:
        raise
    except ImportError as error:
        raise ValueError(f"weights={weights} needs {error.name}: {_INSTALL}, or name a local file") from None
    except Exception as error:  # each library fails in its own way without a network
        raise ValueError(
            f"weights={weights} could not be fetched ({_first_line(error)}); "
            f"where there is no network, fetch the file elsewhere and give weights=FILE"
        ) from None
    finally:
        logging.disable(before)


def _from_timm(name: str) -> Source:
    import timm

    _refuse_unknown("timm", name, timm.list_models(), name.split(".")[0])
    model: Any = timm.create_model(name, pretrained=True)
    block: Any = model.blocks[0] if hasattr(model, "blocks") else None
    facts = {"num_heads": block.attn.num_heads, "eps": block.norm1.eps} if hasattr(block, "attn") else {}
    return Source(model.state_dict(), facts)


def _from_hugging_face(name: str) -> Source:
    from huggingface_hub import hf_hub_download

    hf_hub_download(name, "config.json")
    return _read_safetensors(Path(hf_hub_download(name, "model.safetensors")))


def _from_torchvision(name: str) -> Source:
    import torchvision

    known = [model for model in torchvision.models.list_models() if model.startswith("vit_")]
    _refuse_unknown("torchvision", name, known, name)
    model: Any = torchvision.models.get_model(name, weights="DEFAULT")
    layer = model.encoder.layers[0]
    return Source(model.state_dict(), {"num_heads": layer.num_heads, "eps": layer.ln_1.eps})


def _refuse_unknown(library: str, name: str, known: list[str], plain: str) -> None:
    if plain not in known:
        near = get_close_matches(plain, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known[:4])}, …"
        raise _UnknownModelError(f"weights={library}:{name}: {library} has no such model; {hint}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
