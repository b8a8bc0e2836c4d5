import re
import shutil
import subprocess

import pytest

from vitlab.analysis.cost import flops_per_image
from vitlab.config.build import build
from vitlab.config.compose import resolved

ASKED = ("model=vit_tiny", "data=cifar10")  # as the README has it


@pytest.fixture
def model(compose):
    return build(resolved(compose(ASKED)), "model")


def test_the_table_shows_the_model_and_leaves_nothing_behind(command, model, tmp_path):
    done = command("explain", *ASKED)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "assumed" not in done.stdout
    for text in ("Blocks 1–12 × 12", "softmax(QKᵀ / √dₖ) V", "3×65×65", "64 patches of 4 × 4 pixels"):
        assert text in done.stdout
    assert f"{sum(p.numel() for p in model.parameters()):,}" in done.stdout
    assert f"{flops_per_image(model, 3, 32):,} for an image" in done.stdout
    assert " ".join(done.stdout.split()).count("the same up to rounding") == 2


def test_the_page_is_written_where_the_user_stands(command, tmp_path):
    folder = tmp_path / "a = folder, of (mine)"
    folder.mkdir()
    done = command("explain", "model.depth=1", "--format", "html", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["explain.html"]
    assert str(folder / "explain.html") in done.stdout
    assert "python -m vitlab.explain model.depth=1 format=html" in (folder / "explain.html").read_text()


def test_a_page_goes_where_it_is_told_and_replaces_only_pages(command, tmp_path):
    asked = ("explain", "--format", "html", "--output", "mine=1.html", "model.depth=1")
    assert "replaced" not in command(*asked).stdout
    again = command(*asked)
    assert again.returncode == 0, again.stderr
    assert "an older page was replaced" in again.stdout
    (tmp_path / "mine=1.html").write_text("my thesis")
    refused = command(*asked)
    assert refused.returncode == 1
    assert "exists and is no page of vitlab.explain" in refused.stderr
    assert (tmp_path / "mine=1.html").read_text() == "my thesis"


def test_the_parts_are_those_that_train_takes(command, tmp_path):
    parts = ("model/attention=window", "model.attention.window_size=2", "model.attention.shift=true", "model.depth=4")
    done = command("explain", *parts)
    assert done.returncode == 0, done.stderr
    assert "Blocks 2, 4 × 2" in done.stdout
    assert "window_size=2, moved=1" in done.stdout


def test_classes_that_only_a_folder_knows_are_assumed_and_said(command):
    done = command("explain", "data=image_folder_32", "model.depth=1")
    assert done.returncode == 0, done.stderr
    assert "10 are assumed here" in done.stdout


def test_a_screen_without_the_letters_gets_marks_in_their_place(cold_command):
    done = cold_command("explain", "model.depth=1", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "softmax(QK? / ?d?) V" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["format=htm"], 1, "format=htm is not one of table, html; did you mean html?"),
        (["--format"], 2, "--format needs a value"),
        (["output=x.html"], 1, "add format=html"),
        (["format=html", "output=."], 1, "output=. is a folder; try output=explain.html"),
        (["format=html", "output=nowhere/x.html"], 1, "there is no folder nowhere"),
        (["model.num_heads=5"], 1, "model.num_heads=5 does not divide model.embed_dim=64; try 4 or 8"),
        (["model.patch_size=3"], 1, "model.patch_size=3 does not divide the image size 8; try 2 or 4"),
        (["model/attention=windo"], 1, "did you mean window?"),
        (["model/attention=linear", "model/position=relative_bias"], 1, "model: attention=linear has no scores"),
        (["model._target_=torch.nn.Identity"], 1, "model is of class Identity; explain knows"),
        (["model._target_=os.system"], 1, "is not in the allowed packages"),
        (["data.num_classes=0"], 1, "data.num_classes=0 is not a whole number from 1 up"),
        (["seed=-1"], 1, "seed=-1 is not a whole number from 0 to"),
        (["trainer.epochs=3"], 1, "trainer.epochs is no setting here"),
    ],
)
def test_what_cannot_be_shown_is_one_message(command, tmp_path, arguments, code, message):
    done = command("explain", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_help_imports_no_torch_and_names_the_formats(cold_command):
    done = cold_command("explain", "--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    assert "--format html" in done.stdout
    assert not re.search(r"\| +torch$", done.stderr, re.M)


@pytest.mark.browser
def test_a_browser_shows_the_page_without_complaint(command, tmp_path, model):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium on PATH")
    assert command("explain", *ASKED, "format=html").returncode == 0
    headless = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    page = (tmp_path / "explain.html").as_uri()
    done = subprocess.run(
        [*headless, "--enable-logging=stderr", "--dump-dom", page], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0
    assert f'title="{sum(p.numel() for p in model.parameters()):,}"' in done.stdout
    assert f"{flops_per_image(model, 3, 32):,} for an image" in done.stdout
    assert "CONSOLE" not in done.stderr
