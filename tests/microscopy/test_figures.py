from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from vitlab.microscopy.figures import draw


def test_every_picture_is_there_and_shows_something(observation, tmp_path):
    paths = draw(replace(observation, biases=torch.randn(2, 3, 16, 16)), tmp_path)
    names = "rollout heads distance focus shares similarity cka ablation positions biases filters"
    assert [path.stem for path in paths] == names.split()
    for path in paths:
        array = np.asarray(Image.open(path).convert("L"))
        assert min(array.shape) > 200, path
        assert array.std() > 10, path


def test_what_is_not_there_is_not_drawn(observation, tmp_path):
    found = {**observation.found, "cka": None}
    del found["ablation"]
    paths = draw(replace(observation, found=found, grids=[], filters=None), tmp_path)
    assert [path.stem for path in paths] == ["rollout", "heads", "distance", "focus", "shares", "similarity"]
