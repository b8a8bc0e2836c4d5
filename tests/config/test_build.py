import pytest
import torch
from omegaconf import OmegaConf

from vitlab.config.build import build, refusals_of
from vitlab.errors import VitlabError


def built(node, allow=()):
    return build(OmegaConf.create({"part": node}), "part", allow)


def test_an_allowed_target_is_built_with_plain_containers():
    optimizer = built({"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.1, "betas": [0.5, 0.9]})
    group = optimizer([torch.nn.Parameter(torch.zeros(1))]).param_groups[0]
    assert group["lr"] == 0.1
    assert tuple(group["betas"]) == (0.5, 0.9)
    assert type(optimizer.keywords["betas"]) is list


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.run",
        "torch.load",
        "torch.hub.load",
        "torch.utils.cpp_extension.load",
        "pathlib.Path",
        "vitlabs.anything",
        "torch",
        "",
        None,
        7,
    ],
)
def test_a_target_outside_the_allowed_packages_is_refused(target):
    with pytest.raises(
        VitlabError, match=r"part\._target_=.* is not in the allowed packages \(vitlab\.models, .*torch\.nn"
    ):
        built({"_target_": target})


@pytest.mark.parametrize(
    "target", ["vitlab.models.vit.math.floor", "vitlab.data.image_folder.os.system", "torch.nn.init.torch"]
)
def test_a_path_that_leads_out_of_its_package_is_refused(target):
    with pytest.raises(VitlabError, match="is not a class or function of the allowed packages"):
        built({"_target_": target})


@pytest.mark.parametrize(
    "target",
    [
        *(
            "vitlab.provenance._git",
            "vitlab.runs.open_sweep",
            "vitlab.sweeps.local.LocalJob",
            "vitlab.config.build.build",
        ),
        *("torchvision.models._api.Weights", "torchvision.models.WeightsEnum.get_state_dict"),
        *("vitlab.models.vit._refuse_sizes", "torch.nn.Module.apply"),
    ],
)
def test_what_is_no_part_is_refused_wherever_it_lies(target):
    with pytest.raises(VitlabError, match=r"is not in the allowed packages|is not a class or function of"):
        built({"_target_": target})


@pytest.mark.parametrize(
    ("node", "key"),
    [
        ({"_target_": "torch.nn.Identity", "x": {"_target_": "os.system"}}, r"part\.x\._target_"),
        ({"_target_": "torch.nn.Identity", "x": [{"_target_": "os.system"}]}, r"part\.x\[0\]\._target_"),
        ({"_target_": "torch.nn.Identity", "_args_": [{"_target_": "os.system"}]}, r"part\._args_\[0\]\._target_"),
    ],
)
def test_nested_targets_are_checked_too(node, key):
    with pytest.raises(VitlabError, match=key):
        built(node)


def test_an_interpolated_target_is_checked_as_what_it_becomes():
    cfg = OmegaConf.create({"name": "os.system", "part": {"_target_": "${name}"}})
    with pytest.raises(VitlabError, match="part._target_=os.system"):
        build(cfg, "part")


def test_a_package_of_the_user_s_own_can_be_allowed():
    with pytest.raises(VitlabError, match=r"allow_targets=\[my_package\]"):
        built({"_target_": "fractions.Fraction", "numerator": 1})
    assert built({"_target_": "fractions.Fraction", "numerator": 1}, allow=["fractions"]) == 1


def test_a_misspelt_target_offers_the_nearest():
    with pytest.raises(VitlabError, match="is not to be found; did you mean AdamW"):
        built({"_target_": "torch.optim.AdamWW"})


def test_an_unknown_argument_is_named_with_the_nearest():
    with pytest.raises(VitlabError, match=r"part\.out_feature is no setting of this part; did you mean out_features"):
        built({"_target_": "torch.nn.Linear", "in_features": 1, "out_feature": 2})


def test_an_unknown_argument_of_a_nested_partial_is_named_too():
    node = {"_target_": "torch.nn.Identity", "x": {"_target_": "torch.optim.SGD", "_partial_": True, "speed": 3}}
    with pytest.raises(VitlabError, match=r"part\.x\.speed is no setting of this part"):
        built({**node})


def test_a_missing_argument_is_named_unless_the_rest_comes_later():
    with pytest.raises(VitlabError, match="part lacks out_features"):
        built({"_target_": "torch.nn.Linear", "in_features": 1})
    assert built({"_target_": "torch.nn.Linear", "_partial_": True, "in_features": 1})(out_features=2).out_features == 2


def test_what_a_constructor_refuses_becomes_one_message():
    with pytest.raises(VitlabError, match=r"^part: dropout probability has to be between 0 and 1"):
        built({"_target_": "torch.nn.Dropout", "p": 3})


def test_refusals_of_leaves_other_errors_alone():
    with pytest.raises(VitlabError, match="optimizer: bad"), refusals_of("optimizer"):
        raise ValueError("bad")
    with pytest.raises(AssertionError), refusals_of("optimizer"):
        raise AssertionError


@pytest.mark.parametrize("allow", ["my_lab", 0, True, None, [1], [None]])
def test_what_is_no_list_of_packages_is_refused(allow):
    cfg = OmegaConf.create({"model": {"_target_": "torch.nn.Identity"}, "allow_targets": allow})
    with pytest.raises(VitlabError, match="is no list of packages; try"):
        build(cfg, "model", cfg.allow_targets)
