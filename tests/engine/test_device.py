import pytest
import torch

from vitlab.engine.device import device_name, pick_device


def test_auto_takes_the_accelerator_if_there_is_one():
    has_one = torch.cuda.is_available() or torch.backends.mps.is_available()
    assert (pick_device("auto").type == "cpu") is not has_one


def test_the_cpu_is_always_there_and_has_a_name():
    assert pick_device("cpu") == torch.device("cpu")
    assert f"{torch.get_num_threads()} threads" in device_name(torch.device("cpu"))


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(ValueError, match=r"cpu.*or auto"):
        pick_device(name)
