import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vitlab.config.compose import conf_dir, folder_name, resolved
from vitlab.errors import VitlabError


def test_the_configs_lie_beside_the_package():
    assert (conf_dir() / "train.yaml").is_file()


def test_composing_and_refusing_import_no_torch():
    code = (
        "import sys, hydra, vitlab.train, vitlab.evaluate\n"
        "from vitlab.config.compose import conf_dir, register_resolvers, resolved\n"
        "from vitlab.config.rules import refuse_illegal\n"
        "register_resolvers()\n"
        "with hydra.initialize_config_dir(str(conf_dir()), version_base='1.3'):\n"
        "    refuse_illegal(resolved(hydra.compose('train', ['model=vit_small', 'data=cifar10'])), [])\n"
        "assert not {'torch', 'wandb', 'torchvision', 'sklearn'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_interpolations_become_values():
    cfg = resolved(OmegaConf.create({"a": 3, "b": {"c": "${a}"}}))
    assert OmegaConf.to_yaml(cfg, resolve=False) == "a: 3\nb:\n  c: 3\n"


@pytest.mark.parametrize("broken", [{"a": "${nowhere}"}, {"a": "???"}])
def test_what_cannot_be_resolved_is_named(broken):
    with pytest.raises(VitlabError, match="^a: "):
        resolved(OmegaConf.create(broken))


@given(st.text(max_size=400))
def test_any_overrides_become_one_short_folder_name(text):
    name = folder_name(text)
    assert "/" not in name
    assert "\0" not in name
    assert len(name) <= 120


def test_a_folder_name_can_still_be_read():
    assert folder_name("model.depth=4,model/attention=full,seed=1") == "model.depth=4,model-attention=full,seed=1"
