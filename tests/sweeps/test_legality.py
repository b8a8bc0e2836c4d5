import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from omegaconf import OmegaConf

from vitlab.config.compose import conf_dir, register_resolvers
from vitlab.errors import VitlabError
from vitlab.sweeps.legality import Legality


@pytest.fixture
def legality():
    register_resolvers()
    return Legality(ConfigLoaderImpl(create_config_search_path(str(conf_dir()))), "train")


def test_a_legal_job_is_not_refused(legality):
    assert legality.refusal(["model.depth=2", "tracker=none"]) is None


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=3", "model.depth=2"],
        ["model=vit_tiny", "model.depth=2", "model/attention=window", "++model.attention.window_size=4"],
        ["optimizer.lr=0.1", "optimizer=sgd", "optimizer.momentum=0.5"],
        ["~tracker.project", "tracker=wandb"],
        ["experiment=seed_cifar10", "data=digits", "model.embed_dim=96"],
        ["trainer.epochs=2", "trainer.epochs=3", "hydra.job.chdir=false"],
        ["++model.odd=1", "allow_targets=[a,b]"],
    ],
)
def test_a_job_is_composed_as_hydra_composes_it(legality, overrides):
    loader = ConfigLoaderImpl(create_config_search_path(str(conf_dir())))
    for seed in range(2):  # the second finds the files read
        ours = [*overrides, f"seed={seed}"]
        theirs = loader.load_configuration("train", ours, RunMode.RUN)
        assert OmegaConf.to_container(legality._load(ours)) == {
            key: value for key, value in OmegaConf.to_container(theirs).items() if key not in ("hydra", "sweep")
        }


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["model.num_heads=3"], "model.num_heads=3 does not divide model.embed_dim=64; try 2 or 4"),
        (["model.depht=3"], "model.depht is no setting here; did you mean model.depth"),
        (["model=vit_smal"], "model=vit_smal: there is no such option; did you mean vit_small"),
        (["model.patch_size=3"], "model.patch_size=3 does not divide the image size 8; try 2 or 4"),
        (["model.depth=x"], "model.depth=x is not a whole number from 1 up"),
        (["model/attention=window", "model.attention.window_size=3"], "window_size=3"),  # the part itself refuses
        (["model.norm._target_=os.system"], "is not in the allowed packages"),
        (["objective=distill"], "objective.teacher is missing"),
        (["budget=parms:3M"], "budget=parms:3M is of no known kind; did you mean params"),
        (["budget=params:10"], "the narrowest model of 4 heads costs"),
    ],
)
def test_the_reason_is_the_message_that_the_run_itself_would_end_with(legality, overrides, reason):
    assert reason in legality.refusal(overrides)


def test_the_width_of_a_budget_is_found_also_where_the_default_one_fits_no_heads(legality):
    cfg = legality.compose_legal(["model.num_heads=3", "budget=params:100K"])
    assert cfg.model.embed_dim % 3 == 0


def test_a_model_is_built_once_for_all_jobs_that_share_it(legality, monkeypatch):
    built = []
    monkeypatch.setattr("vitlab.sweeps.legality.skeleton", built.append)
    for seed in range(3):
        legality.refusal([f"seed={seed}"])
    legality.refusal(["model.depth=2"])
    assert len(built) == 2


def test_a_refusal_is_told_again_for_the_next_job_with_the_same_model(legality):
    first, second = (
        legality.refusal(["model/attention=window", "model.attention.window_size=3", f"seed={n}"]) for n in (0, 1)
    )
    assert first == second
    assert first is not None


def test_a_folder_of_images_whose_classes_are_counted_later_is_legal(legality):
    assert legality.refusal(["data=image_folder_32", "data.root=/nowhere"]) is None
    with pytest.raises(VitlabError):
        legality.compose_legal(["data=image_folder_32", "model.depth=0"])
