import json
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vitlab.engine.accumulation import Accumulation
from vitlab.engine.distributed import world
from vitlab.engine.precision import Precision

LIMITED = """
import json, resource, sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from vitlab.assembly import assemble
from vitlab.config.compose import conf_dir, register_resolvers
from vitlab.engine.stop import GracefulStop

torch.set_num_threads(1)
register_resolvers()
with initialize_config_dir(str(conf_dir()), version_base="1.3"):
    cfg = compose("train", sys.argv[3:])

class Rows:
    rows, said = [], []
    log = lambda self, row: self.rows.append(row)
    progress = lambda self, step: None
    say = lambda self, message: self.said.append(message)

trainer = assemble(cfg, Path(sys.argv[1]), GracefulStop()).trainer
if sys.argv[2] != "0":
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + int(sys.argv[2]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    trainer.fit(Rows())
except Exception as error:
    Rows.said.append(f"{type(error).__name__}: {error}")
losses = [row["train/loss"] for row in Rows.rows if "train/loss" in row]
print(json.dumps({"losses": losses, "said": Rows.said, "accumulate": trainer.accumulation.pieces}))
"""
BIG = (
    *("trainer.batch_size=512", "trainer.max_steps=2", "trainer.log_every=1 step", "trainer.device=cpu"),
    *("model.embed_dim=128", "model.num_heads=4", "model.depth=4", "model.mlp_drop=0.1", "augment=strong"),
    *("trainer.eval_batch_size=16", "trainer.limit_batches=2"),
)


def run(folder, megabytes, *overrides):
    command = [sys.executable, "-c", LIMITED, str(folder), str(megabytes), *BIG, *overrides]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.faults
def test_a_batch_that_does_not_fit_is_trained_in_smaller_pieces_with_the_same_draws(tmp_path):
    limited = run(tmp_path / "limited", 400)
    assert "step 1 did not fit into memory: once more with trainer.accumulate=2" in limited["said"]
    pieces = limited["accumulate"]
    assert pieces > 1
    free = run(tmp_path / "free", 0, f"trainer.accumulate={pieces}")
    assert free["said"] == []
    assert limited["losses"] == free["losses"]
    assert len(free["losses"]) == 2


@pytest.mark.slow
@pytest.mark.faults
def test_when_not_even_one_image_fits_it_says_what_would_help(tmp_path):
    found = run(tmp_path / "limited", 60, "trainer.batch_size=2", "model.embed_dim=1024", "model.depth=24")
    assert found["said"][-1].startswith("VitlabError: memory does not hold a micro-batch of 1 images at step 1")
    assert "model.grad_checkpointing=true or a smaller model" in found["said"][-1]


def cross_entropy(model, images, targets):
    return F.cross_entropy(model(images), targets)


@pytest.mark.parametrize("images", [1, 5, 16])
@pytest.mark.parametrize("pieces", [1, 2, 3, 16, 40])
def test_the_pieces_add_up_to_the_loss_and_the_gradient_of_the_whole_batch(pieces, images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    batch, targets = torch.randn(images, 1, 4, 4), torch.randint(3, (images,))
    whole = cross_entropy(model, batch, targets)
    expected = torch.autograd.grad(whole, tuple(model.parameters()))
    accumulation = Accumulation(pieces, model, cross_entropy, Precision("fp32", torch.device("cpu")), world())
    loss = accumulation.gradient(batch, targets, images, 1, pytest.fail)
    torch.testing.assert_close(loss, whole.detach())
    torch.testing.assert_close([p.grad for p in model.parameters()], list(expected))
    assert not loss.requires_grad


def test_what_fails_for_another_reason_is_not_tried_again():
    def broken(model, images, targets):
        raise RuntimeError("shapes do not fit")

    accumulation = Accumulation(1, nn.Identity(), broken, Precision("fp32", torch.device("cpu")), world())
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        accumulation.gradient(torch.zeros(2, 1), torch.zeros(2), 2, 1, pytest.fail)
