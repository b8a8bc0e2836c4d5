import pytest
from omegaconf import OmegaConf

from vitlab.config import saved
from vitlab.config.compose import resolved
from vitlab.errors import VitlabError
from vitlab.runs import RunFolder


@pytest.fixture
def run(tmp_path, compose):
    """A run that was begun with ``model.depth=2``."""
    folder = RunFolder(tmp_path)
    folder.claim()
    saved.save_once(folder, resolved(compose(["model.depth=2"])), ["model.depth=2"])
    return folder


def test_a_config_is_read_back_as_it_was(run, compose):
    assert saved.load(run) == resolved(compose(["model.depth=2"]))


def test_it_is_written_once(run, compose):
    saved.save_once(run, resolved(compose(["model.depth=3"])), ["model.depth=3"])
    assert saved.load(run).model.depth == 2
    assert OmegaConf.load(run.overrides) == ["model.depth=2"]


def resumed(run, compose, *overrides):
    return saved.load_to_resume(run, compose(overrides), list(overrides))


@pytest.mark.parametrize("overrides", [[], ["model.depth=2"], ["seed=0"], ["data=digits"]])
def test_what_was_typed_then_or_changes_nothing_may_be_typed_again(run, compose, overrides):
    assert resumed(run, compose, *overrides).model.depth == 2


@pytest.mark.parametrize(
    ("override", "own"),
    [
        ("model.depth=3", "the run's is 2"),
        ("trainer.epochs=99", "the run's is"),
        ("model=vit_tiny", "the run has its own settings"),
        ("experiment=seed_cifar10", "the run has its own settings"),
    ],
)
def test_what_would_change_the_run_is_refused(run, compose, override, own):
    with pytest.raises(VitlabError, match=f"{override} cannot change in a run that is resumed.*{own}"):
        resumed(run, compose, override)


def test_device_and_tracker_are_free_to_change(run, compose):
    settings = resumed(run, compose, "trainer.device=cpu", "tracker.mode=disabled")
    assert settings.trainer.device == "cpu"
    assert settings.tracker.mode == "disabled"
    assert resumed(run, compose, "tracker=none").tracker is None


def test_what_may_be_built_is_said_by_the_user_and_not_by_the_folder(run, compose):
    config = OmegaConf.load(run.config)
    config.allow_targets = ["stranger"]
    OmegaConf.save(config, run.config)
    assert resumed(run, compose).allow_targets == []
    assert resumed(run, compose, "allow_targets=[mine]").allow_targets == ["mine"]


def test_a_run_that_is_done_is_not_resumed(run, compose):
    run.summary.write_text('{"status": "done"}')
    with pytest.raises(VitlabError, match="this run is done"):
        resumed(run, compose)


@pytest.mark.parametrize("content", ["{", "- a\n", "a: !!python/object:os.system {}", "a: b: c", "a: ${nope}"])
def test_a_config_that_cannot_be_read_is_named(run, content):
    run.config.write_text(content)
    with pytest.raises(VitlabError, match=r"config\.yaml"):
        saved.load(run)


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))


def test_a_file_that_is_larger_than_it_looks_is_not_unfolded(run):
    for path, read in ((run.config, saved.load), (run.overrides, saved.load_overrides)):
        path.write_text(BOMB)
        with pytest.raises(VitlabError, match=rf"{path.name} cannot be read.*alias"):
            read(run)


@pytest.mark.parametrize("model", ["[1, 2]", "null", "5", None])
def test_a_config_that_lacks_a_part_is_not_that_of_a_run(run, compose, model):
    settings = OmegaConf.to_container(OmegaConf.load(run.config))
    del settings["model"]
    rest = OmegaConf.to_yaml(OmegaConf.create(settings))
    run.config.write_text(rest if model is None else f"{rest}model: {model}\n")
    for read in (saved.load_whole, lambda run: resumed(run, compose)):
        with pytest.raises(VitlabError, match="it has no settings of model"):
            read(run)
    run.config.write_text("")
    with pytest.raises(VitlabError, match="it has no settings of data"):
        saved.load_whole(run)


def test_a_model_of_a_checkpoint_needs_no_weights_to_begin_with(compose):
    settings = resolved(compose(["model.weights=start.safetensors"]))
    assert saved.from_checkpoint(settings).model.weights is None
    assert settings.model.weights == "start.safetensors"
    own = OmegaConf.create({"model": {"_target_": "my_lab.Model"}})
    assert saved.from_checkpoint(own) == own


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:HOME}",
        "a ${oc.decode:1}",
        "${${name}:HOME}",
        '"\\u0024{oc.env:HOME}"',
        "${x.${oc.env:HOME}}",
        "${name}",
    ],
)
def test_a_folder_does_not_look_into_the_environment(tmp_path, text):
    run = RunFolder(tmp_path)
    run.config.write_text(f"name: oc.env\nmodel:\n  parts:\n    - {text}\n")
    with pytest.raises(VitlabError, match="holds nothing but values"):
        saved.load(run)


def test_a_folder_does_not_say_where_the_key_of_w_and_b_is_sent(tmp_path):
    run = RunFolder(tmp_path)
    run.config.write_text(
        "tracker:\n  project: lab\n  settings: {base_url: http://elsewhere, https_proxy: x, x_disable_stats: false}\n"
    )
    assert saved.load(run).tracker == {"project": "lab", "settings": {"x_disable_stats": False}}


def test_what_is_asked_of_w_and_b_may_not_stand_elsewhere_either(tmp_path):
    run = RunFolder(tmp_path)
    run.config.write_text("elsewhere: {base_url: http://elsewhere}\ntracker: {settings: '${elsewhere}'}\n")
    with pytest.raises(VitlabError, match="holds nothing but values"):
        saved.load(run)
