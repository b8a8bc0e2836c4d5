import json
import subprocess
import sys

import pytest
import torch

from vitlab.sweeps.forecast import forecast


def test_sizes_are_those_of_the_model_and_the_length_that_of_the_run(compose):
    cost = forecast(compose(["trainer.epochs=3", "model.depth=2", "trainer.validate_every='2 epochs'"]))
    assert cost.tokens == 17  # 4 x 4 patches and CLS
    assert cost.parameters == 102_218
    assert (cost.length.total_steps, cost.length.steps_per_epoch) == (63, 21)
    assert cost.validations == 2  # after two epochs, and at the end
    assert cost.seconds == 63 * cost.seconds_per_step + 2 * cost.seconds_per_validation
    assert cost.seconds_per_step > 0


def test_memory_counts_weights_gradients_optimizer_and_what_backward_keeps(compose):
    small, big = (forecast(compose(["model.depth=1", f"trainer.batch_size={size}"])).memory for size in (16, 64))
    weights = 4 * 52_234
    assert small > 4 * weights  # weights, gradients, and two moments of AdamW
    assert (big - 4 * weights) / (small - 4 * weights) == pytest.approx(4, rel=0.05)  # activations grow with the batch
    accumulated = forecast(compose(["model.depth=1", "trainer.batch_size=64", "trainer.accumulate=4"])).memory
    assert accumulated < 0.6 * big
    averaged = forecast(compose(["model.depth=1", "trainer.batch_size=64", "trainer.ema_decay=0.9"])).memory
    assert averaged == big + weights


PEAK = """
import json, re, sys
from pathlib import Path
from hydra import compose, initialize_config_dir
from vitlab.config.compose import conf_dir
from vitlab.sweeps import forecast
with initialize_config_dir(str(conf_dir()), version_base="1.3"):
    cfg = compose("train", ["model=vit_tiny", "trainer.batch_size=128", f"model.depth={sys.argv[1]}"])
forecast._MEASURED_STEPS = 1
told = forecast.forecast(cfg).memory
# not ru_maxrss, which a process inherits from the one that started it
print(json.dumps([told, 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])]))
"""


@pytest.mark.slow
def test_memory_grows_with_the_model_as_the_kernel_counts_it():
    """The peak of a process of its own, less that of one with a small model: what torch itself takes cancels."""

    def told_and_taken(depth):
        done = subprocess.run([sys.executable, "-c", PEAK, depth], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    small, big = told_and_taken("1"), told_and_taken("24")
    assert big[0] - small[0] == pytest.approx(big[1] - small[1], rel=0.25)


def test_measuring_leaves_no_trace(compose, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = compose(["model.depth=1"])
    torch.manual_seed(3)
    forecast(cfg)
    assert cfg == compose(["model.depth=1"])
    assert list(tmp_path.iterdir()) == []
