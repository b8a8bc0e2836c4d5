"""The model as a folder that timm, Hugging Face or torchvision opens."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from vitlab.exports.about import About, Predict
from vitlab.exports.quiet import quietly
from vitlab.models.convert.outward import to_hugging_face, to_timm, to_torchvision

if TYPE_CHECKING:
    from vitlab.models.vit import ViT

WEIGHTS, CONFIG, PREPROCESSOR = "model.safetensors", "config.json", "preprocessor_config.json"


def write_timm(model: "ViT", folder: Path, about: About) -> Predict:
    """Write what ``timm.create_model("local-dir:FOLDER", pretrained=True)`` opens.

    Returns:
        The model that it opens.

    Raises:
        ValueError: timm has no such part.
    """
    outward = to_timm(model)
    size = [about.channels, about.image_size, about.image_size]
    config = {
        "architecture": outward.architecture,
        "num_classes": len(about.class_names),
        "num_features": model.embed_dim,
        "model_args": outward.settings,
        "pretrained_cfg": {
            "input_size": size,
            "mean": about.mean,
            "std": about.std,
            "crop_pct": 1.0,
            "crop_mode": "center",
            "interpolation": "bicubic",
            "fixed_input_size": True,
            "num_classes": len(about.class_names),
            "label_names": about.class_names,
            "classifier": ["head", "head_dist"] if "head_dist.weight" in outward.state else "head",
            "first_conv": "patch_embed.proj",
        },
    }
    _save(folder, outward.state, config)
    with quietly():
        import timm

        opened: Any = timm.create_model(f"local-dir:{folder}", pretrained=True)
    predict: Predict = opened.eval()
    return predict


def write_hugging_face(model: "ViT", folder: Path, about: About) -> Predict:
    """Write what ``from_pretrained(FOLDER)`` opens: model, config and the way its images are prepared.

    Returns:
        The model that it opens.

    Raises:
        ValueError: Hugging Face has no such part.
    """
    import transformers

    outward = to_hugging_face(model)
    transformers.utils.logging.disable_progress_bar()
    cls: Any = getattr(transformers, outward.architecture)
    names = dict(enumerate(about.class_names))
    settings = {name: value for name, value in outward.settings.items() if name != "num_labels"}
    config = cls.config_class(
        **settings,
        id2label=names,
        label2id={name: number for number, name in names.items()},
        architectures=[outward.architecture],
    )
    _save(folder, outward.state, config.to_dict())
    preprocessor = {
        "image_processor_type": "BitImageProcessor",  # covers a square and cuts its centre, as vitlab reads files
        "do_resize": True,
        "size": {"shortest_edge": about.image_size},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": about.image_size, "width": about.image_size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": about.mean,
        "image_std": about.std,
        "do_convert_rgb": about.channels == 3,
    }
    (folder / PREPROCESSOR).write_text(json.dumps(preprocessor, indent=2) + "\n")
    with quietly():
        opened, report = cls.from_pretrained(folder, output_loading_info=True)
    if any(report.values()):
        raise ValueError(f"from_pretrained would not take all of it: {report}")
    opened.eval()

    def predict(images: Tensor) -> Tensor:
        logits: Tensor = opened(images).logits
        return logits

    return predict


def write_torchvision(model: "ViT", folder: Path, about: About) -> Predict:
    """Write the weights for ``torchvision.models.VisionTransformer``, and in ``config.json`` its arguments.

    Returns:
        The model built from the two.

    Raises:
        ValueError: torchvision has no such part.
    """
    import torchvision
    from safetensors.torch import load_file

    outward = to_torchvision(model)
    preparation = {"mean": about.mean, "std": about.std, "class_names": about.class_names}
    _save(folder, outward.state, {"class": outward.architecture, "arguments": outward.settings, **preparation})
    arguments = json.loads((folder / CONFIG).read_text())["arguments"]
    opened: Any = torchvision.models.VisionTransformer(**arguments)
    opened.load_state_dict(load_file(folder / WEIGHTS))
    predict: Predict = opened.eval()
    return predict


def _save(folder: Path, state: dict[str, Tensor], config: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, folder / WEIGHTS, {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config, indent=2, default=str) + "\n")
