import numpy as np
from PIL import Image

from vitlab.evaluation.contact_sheet import contact_sheet


def rows(tmp_path, *names, mode="RGB", size=(40, 20)):
    for name in names:
        Image.new(mode, size, "red" if mode == "RGB" else 128).save(tmp_path / name)
    return [{"image": str(tmp_path / name), "classes": [("a $cat$ \n", 0.75), ("dog", 0.25)]} for name in names]


def test_the_images_are_seen_side_by_side(tmp_path):
    contact_sheet(rows(tmp_path, "a.png", "b$\\frac{.png"), tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    red = (sheet[..., 0] > 200) & (sheet[..., 1] < 50)
    columns = red.any(axis=0)
    assert (np.diff(columns.astype(int)) == 1).sum() == 2  # two red squares


def test_of_very_many_the_first_are_shown(tmp_path):
    contact_sheet(rows(tmp_path, "a.png", mode="L", size=(1, 300)) * 500, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[1] < 4000
