"""The model as a graph that runs without vitlab: ONNX, and torch.export's own."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitlab.exports.about import About, Predict
from vitlab.exports.quiet import quietly


def write_onnx(model: nn.Module, path: Path, about: About, opset: int | None = None) -> Predict:
    """Write ``model`` as ONNX, for any number of images; input ``images`` [B, C, S, S], output ``logits`` [B, K].

    Args:
        model: in eval mode, on the CPU.
        path: of the ``.onnx`` file.
        about: goes into the file's metadata.
        opset: version of ONNX's operators; None for torch's choice.

    Returns:
        onnxruntime on that file.
    """
    import onnx
    import onnxruntime

    try:
        proto = _onnx_graph(model, about, opset)
    except torch.onnx.errors.OnnxExporterError:
        if not hasattr(model, "forward_stages"):
            raise
        proto = _onnx_graph(_WrittenOut(model), about, opset)
    onnx.helper.set_model_props(proto, about.as_strings())
    onnx.save(proto, path)
    onnx.checker.check_model(str(path))
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def predict(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])

    return predict


class _WrittenOut(nn.Module):
    """A model that writes its attention out: torch's exporter does not know all ways of calling the fused kernel."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        stages: dict[str, Tensor] = self.model.forward_stages(images)  # type: ignore[operator]
        return stages["logits"]


def _onnx_graph(model: nn.Module, about: About, opset: int | None) -> Any:
    with quietly():
        program: Any = torch.onnx.export(
            model,
            (_example(about),),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=(_any_batch(),),
            opset_version=opset,
            external_data=False,
            verbose=False,
        )
    return program.model_proto


def write_torch_export(model: nn.Module, path: Path, about: About) -> Predict:
    """Write ``model`` with ``torch.export``, for any number of images; what goes with it is ``vitlab.json`` inside.

    Returns:
        The graph, loaded from that file.
    """
    with quietly():
        program = torch.export.export(model, (_example(about),), dynamic_shapes=(_any_batch(),))
        torch.export.save(program, path, extra_files={"vitlab.json": json.dumps(about.as_strings())})
        graph: Predict = torch.export.load(path).module()
    return graph


def _example(about: About) -> Tensor:
    return torch.zeros(2, about.channels, about.image_size, about.image_size)


def _any_batch() -> dict[int, Any]:
    return {0: torch.export.Dim("batch", min=1)}
