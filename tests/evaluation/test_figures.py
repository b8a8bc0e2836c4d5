import numpy as np
from PIL import Image

from vitlab.evaluation.figures import draw


def test_every_picture_is_there_and_shows_something(found, tmp_path):
    pictures = draw(found, tmp_path)
    assert [path.name for path in pictures] == ["reliability.png", "classes.png", "confusion.png", "robustness.png"]
    for path in pictures:
        array = np.asarray(Image.open(path).convert("L"))
        assert array.shape[0] > 200
        assert array.shape[1] > 300
        assert array.std() > 10


def test_many_classes_are_drawn_without_their_names(found, tmp_path):
    classes = [{**found["classes"][0], "class": f"class {k}"} for k in range(100)]
    many = {**found, "classes": classes, "confusion": np.eye(100, dtype=int).tolist()}
    for path in draw(many, tmp_path):
        with Image.open(path) as picture:
            assert max(picture.size) < 2500
