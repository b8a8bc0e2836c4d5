"""``python -m vitlab.export``: a run's model for other tools, checked against the model itself."""

import math
import shutil
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vitlab import __version__, provenance
from vitlab.config.command import run_command
from vitlab.config.rules import whole_number
from vitlab.errors import VitlabError, did_you_mean, first_line
from vitlab.runs import RunFolder
from vitlab.trained import choose, load_trained

if TYPE_CHECKING:  # torch is imported only once there is something to export
    from torch import nn

    from vitlab.exports.about import About, Predict

_FOLDER = "export"
_OPSETS = (17, 24)
_TOLERANCE = 1e-4  # of the greatest logit
_BATCHES = (1, 3)


@dataclass(frozen=True)
class Format:
    """One thing that can be written.

    Args:
        ending: of the file, or with a dash of the folder's name.
        needs: packages that it takes.
        is_library: whether it is another library's model, so that only a ViT of parts that it knows can be written.
    """

    ending: str
    needs: tuple[str, ...]
    is_library: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder and not a file."""
        return self.ending.startswith("-")


FORMATS = {
    "safetensors": Format(".safetensors", ("safetensors",)),
    "onnx": Format(".onnx", ("onnx", "onnxruntime", "onnxscript")),
    "torch_export": Format(".pt2", ()),
    "timm": Format("-timm", ("timm", "safetensors"), is_library=True),
    "hf": Format("-hf", ("transformers", "safetensors"), is_library=True),
    "torchvision": Format("-torchvision", ("safetensors",), is_library=True),
}


def main() -> None:
    """The command line."""
    run_command(export, "export")


def export(cfg: DictConfig) -> float:
    """Write a checkpoint of a run in another format, read it back, and compare both on random images.

    Returns:
        The greatest difference between their logits, in units of the greatest logit.

    Raises:
        VitlabError: there is no such run, checkpoint or format, a package is missing, the format has no such model,
            or what was written does not compute the same; nothing is then left behind.
    """
    if cfg.format not in FORMATS:
        hint = did_you_mean(str(cfg.format), FORMATS)
        raise VitlabError(f"format={cfg.format} is not one of {', '.join(FORMATS)}{hint}")
    whole_number(cfg, "opset", *_OPSETS)
    run = choose(cfg)
    refuse_missing(cfg.format)
    path = _place(cfg, run)
    trained = load_trained(run, cfg.checkpoint, cfg.allow_targets)
    about = _about(trained.settings, run, trained.step)
    difference = _write_checked(trained.model, path, about, cfg)
    print(
        f"{path}: the weights of step {trained.step} ({cfg.checkpoint}.pt) as {cfg.format}, "
        f"checked on random images: greatest difference {difference:.1e} of the greatest logit"
    )
    return difference


def refuse_missing(name: str) -> None:
    """Refuse the format ``name`` where a package that it needs is not installed.

    Raises:
        VitlabError: one is missing; how to install it is said.
    """
    missing = [package for package in FORMATS[name].needs if find_spec(package) is None]
    if missing:
        raise VitlabError(f"format={name} needs {' and '.join(missing)}: pip install 'vitlab[export]'")


def _place(cfg: DictConfig, run: RunFolder) -> Path:
    """Where the export goes; what is there and no export is never overwritten."""
    wanted = FORMATS[cfg.format]
    if cfg.output is None:
        return run.path / _FOLDER / f"{cfg.checkpoint}{wanted.ending}"
    path = Path(str(cfg.output)).expanduser().absolute()
    if not wanted.is_folder and path.suffix != wanted.ending:
        near = path.with_suffix(wanted.ending).name
        raise VitlabError(f"output={cfg.output}: format={cfg.format} is a {wanted.ending} file; try {near}")
    if path.is_dir() != wanted.is_folder and path.exists():
        kind = "a folder" if path.is_dir() else "a file"
        raise VitlabError(f"output={cfg.output} is {kind}, and format={cfg.format} is not; name another")
    own = {"config.json", "model.safetensors", "preprocessor_config.json"}
    if path.is_dir() and (others := sorted(p.name for p in path.iterdir() if p.name not in own)):
        raise VitlabError(f"output={cfg.output} is a folder that holds {', '.join(others[:3])}; name a new one")
    return path


def _about(settings: DictConfig, run: RunFolder, step: int) -> "About":
    from vitlab.exports.about import About

    data, classes = settings.data, provenance.class_names(run)
    count = settings.data.num_classes
    return About(
        vitlab=__version__,
        image_size=data.image_size,
        channels=data.channels,
        mean=tuple(data.get("mean") or [0.0] * data.channels),
        std=tuple(data.get("std") or [1.0] * data.channels),
        class_names=tuple(classes if len(classes) == count else map(str, range(count))),
        num_heads=OmegaConf.select(settings, "model.num_heads") or 0,
        step=step,
    )


def _write_checked(model: "nn.Module", path: Path, about: "About", cfg: DictConfig) -> float:
    """Write to a place beside ``path``, check, and only then move there; how far the logits differ."""
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        temporary.touch()  # to be told of a folder that cannot be written in the system's words, not a library's
        temporary.unlink()
        difference = _difference(model, _write(model, temporary, about, cfg), about)
        if not difference <= _TOLERANCE:
            raise VitlabError(
                f"format={cfg.format}: what was written differs from the model by {difference:.1e} of the greatest "
                f"logit, more than {_TOLERANCE:g}; nothing is kept"
            )
        _remove(path)
        temporary.replace(path)
    except VitlabError:
        raise
    except ValueError as error:
        raise VitlabError(f"format={cfg.format}: {error}") from error
    except OSError as error:
        raise VitlabError(f"{path} cannot be written: {error.strerror or error}") from error
    except Exception as error:  # an exporter that meets what it does not know fails in its own way
        raise VitlabError(f"format={cfg.format} failed ({type(error).__name__}: {first_line(error)})") from error
    finally:
        _remove(temporary)
        with suppress(OSError):  # only if it is empty
            (path.parent if path.parent.name == _FOLDER else temporary).rmdir()
    return difference


def _write(model: Any, path: Path, about: "About", cfg: DictConfig) -> "Predict":
    from vitlab.exports.graphs import write_onnx, write_torch_export
    from vitlab.exports.libraries import write_hugging_face, write_timm, write_torchvision
    from vitlab.exports.tensors import write_safetensors
    from vitlab.models.vit import ViT

    if FORMATS[cfg.format].is_library and not isinstance(model, ViT):
        raise ValueError(f"{type(model).__name__} is no model of vitlab; try format=onnx or torch_export")
    if cfg.format == "onnx":
        return write_onnx(model, path, about, cfg.opset)
    writers: dict[str, Any] = {
        "safetensors": write_safetensors,
        "torch_export": write_torch_export,
        "timm": write_timm,
        "hf": write_hugging_face,
        "torchvision": write_torchvision,
    }
    predict: Predict = writers[cfg.format](model, path, about)
    return predict


def _difference(model: "nn.Module", predict: "Predict", about: "About") -> float:
    """The greatest difference of logits on batches of random images, in units of the greatest logit."""
    import torch

    generator, worst = torch.Generator().manual_seed(0), 0.0
    for batch in _BATCHES:
        images = torch.randn(batch, about.channels, about.image_size, about.image_size, generator=generator)
        with torch.no_grad():
            wanted, given = model(images), predict(images)
        if wanted.shape != given.shape:
            raise ValueError(f"what was written gives logits {list(given.shape)}, not {list(wanted.shape)}")
        difference = float((wanted - given).abs().max() / wanted.abs().max().clamp(min=1e-12))
        worst = math.inf if math.isnan(difference) else max(worst, difference)
    return worst


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
