"""The weights alone, under vitlab's own names."""

import copy
from pathlib import Path

from torch import nn

from vitlab.exports.about import About, Predict


def write_safetensors(model: nn.Module, path: Path, about: About) -> Predict:
    """Write the weights of ``model`` as one safetensors file that says in its metadata what they are for.

    Returns:
        The same architecture, filled from that file.
    """
    from safetensors.torch import load_file, save_file

    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, path, {"format": "pt", **about.as_strings()})
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        parameter.data.fill_(float("nan"))
    other.load_state_dict(load_file(path))
    return other
