import subprocess
import sys

import pytest

from vitlab.config.command import _as_multirun, _quoted, _without_dashes


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["model=vit_smal"], 1, "model=vit_smal: there is no such option; did you mean vit_small"),
        (["model/attention=ful"], 1, "model/attention=ful: there is no such option; did you mean full"),
        (["modle=vit_small"], 1, "modle is no setting here; did you mean model"),
        (["model.dept=4"], 1, "model.dept is no setting here; did you mean model.depth"),
        (["trainer.epoch=4"], 1, "trainer.epoch is no setting here; did you mean trainer.epochs"),
        (
            ["-m", "model.depth=1,2", "sweep.ilegal=skip"],
            1,
            "sweep.ilegal is no setting here; did you mean sweep.illegal",
        ),
        (["sede=4"], 1, "sede is no setting here; did you mean seed"),
        (["model=vit_small", "data=cifar10", "optimizer.rl=4"], 1, "optimizer.rl is no setting here"),
        (["nonsense"], 2, "'nonsense' is not an override; write key=value"),
        (["model.depth=[4"], 2, "'model.depth=[4' is not an override"),
        (["model.num_heads=5"], 1, "model.num_heads=5 does not divide model.embed_dim="),
        (["trainer.epochs=0"], 1, "trainer.epochs=0 is not a whole number from 1 up"),
        (["resume=outputs/nowhere"], 1, "resume=outputs/nowhere: there is no such folder"),
        (["model.embed_dim=${nowhere}"], 1, "nowhere"),
    ],
)
def test_a_wrong_command_line_ends_with_one_message_and_leaves_nothing(command, tmp_path, arguments, code, message):
    done = command("train", *arguments)
    assert done.returncode == code
    assert done.stderr.startswith("vitlab: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("outputs/*/*"))


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 1000 + "]" * 1000])
def test_what_is_too_much_for_the_parser_is_a_wrong_command_line(command, value):
    done = command("train", f"trainer.epochs={value}")
    assert done.returncode == 2
    assert done.stderr.startswith("vitlab: an argument cannot be read: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_traceback_is_there_for_those_who_ask(command):
    done = command("train", "model.num_heads=5", env={"HYDRA_FULL_ERROR": "1"})
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_an_unknown_flag_is_a_wrong_command_line(command):
    assert command("train", "--multrun").returncode == 2


def test_help_says_how_to_begin_and_names_the_groups(command):
    done = command("train", "--help")
    assert done.returncode == 0
    for text in (
        "python -m vitlab.train model=vit_small data=cifar10",
        "--multirun",
        "resume=",
        "model/attention",
        "cifar10",
    ):
        assert text in done.stdout


def test_cfg_job_shows_what_would_run(command):
    done = command("train", "model=vit_small", "--cfg", "job")
    assert done.returncode == 0
    assert "embed_dim: 384" in done.stdout


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    arguments = f"{sys.executable} -m vitlab.train --help | head -1"
    done = subprocess.run(["bash", "-c", arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "Train a Vision Transformer whose every part is chosen by name.\n"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["--format", "html", "model.depth=2"], ["format=html", "model.depth=2"]),
        (["a=1", "--format=html"], ["a=1", "format=html"]),
        (["format=html", "--help", "-m"], ["format=html", "--help", "-m"]),
        (["--cfg", "job", "--formats", "x", "--", "format"], ["--cfg", "job", "--formats", "x", "--", "format"]),
        (["--format", "a=b"], ["format=a=b"]),
    ],
)
def test_the_flags_of_a_command_are_read_as_keys(typed, read):
    assert list(_without_dashes(typed, ("format",))) == read


@pytest.mark.parametrize("typed", [["--format"], ["--format="], ["--format", "--help"]])
def test_a_flag_without_its_value_is_a_wrong_command_line(typed, capsys):
    with pytest.raises(SystemExit) as stop:
        list(_without_dashes(typed, ("format",)))
    assert stop.value.code == 2
    assert capsys.readouterr().err == "vitlab: --format needs a value\n"


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("images=日本.webp", "images='日本.webp'"),
        ("images=x,y=[z].png", "images='x,y=[z].png'"),
        ("images=[a.png,b.png]", "images=[a.png,b.png]"),
        ("data_root=a b", "data_root='a b'"),
        ("images=null", "images=null"),
        ("output='a b'", "output='a b'"),
    ],
)
def test_a_path_is_one_whatever_signs_it_holds(typed, read):
    assert _quoted(typed) == read


def test_an_experiment_that_is_not_there_is_refused_with_the_one_that_could_be_meant(command):
    done = command("train", "experiment=quickstar")
    assert done.returncode == 1
    assert "experiment=quickstar: there is no such option; did you mean quickstart?" in done.stderr
    done = command("train", "experiment=null")
    assert done.returncode == 2
    assert "an argument cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_is_not_offered_in_its_own_place(command):
    done = command("explain", "experiment=seed_cifar10")
    assert done.returncode == 1
    assert "experiment is no setting here" in done.stderr
    assert "did you mean experiment" not in done.stderr


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["sweep=seeds"], ["sweep=seeds", "--multirun"]),
        (["sweep=seeds", "-m"], ["sweep=seeds", "-m"]),
        (["sweep=seeds", "--cfg", "job"], ["sweep=seeds", "--cfg", "job"]),
        (["--config-dir=x", "sweep.plan=true"], ["--config-dir=x", "sweep.plan=true", "--multirun"]),
    ],
)
def test_who_speaks_of_a_sweep_means_one(typed, read):
    assert _as_multirun(typed) == read


def test_a_list_of_values_without_multirun_says_how_to_mean_it(command):
    done = command("train", "model.depth=4,8")
    assert done.returncode == 1
    assert "model.depth=4,8 is a list of values: add --multirun" in done.stderr


def test_an_error_tells_no_secret_and_moves_no_cursor(command):
    done = command("evaluate", "run='/x/\x1b[2J'", "checkpoint=hf_VerySecret123", env={"HF_TOKEN": "hf_VerySecret123"})
    assert done.returncode == 1
    assert "checkpoint=*** is not one of" in done.stderr
    done = command("evaluate", "run='/x/\x1b[2J'")
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert r"/x/\x1b[2J: there is no such folder" in done.stderr
