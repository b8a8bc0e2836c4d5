import torch

from vitlab.engine.seeding import augmentation_rng, generator_state, set_generator_state


def test_draws_are_a_function_of_seed_and_step():
    draws = {(s, t): augmentation_rng(s, t).random() for s in (0, 1) for t in (0, 1)}
    assert len(set(draws.values())) == 4
    assert all(augmentation_rng(*key).random() == value for key, value in draws.items())


def test_generators_go_on_from_their_state():
    torch.manual_seed(5)
    state = generator_state()
    first = torch.rand(3)
    assert set_generator_state(state)
    assert torch.equal(torch.rand(3), first)


def test_a_state_from_other_devices_is_told_and_the_cpu_s_is_taken():
    torch.manual_seed(5)
    state = generator_state()
    expected = torch.rand(2)
    state["cuda"] = [*state["cuda"], torch.zeros(16, dtype=torch.uint8)]
    assert not set_generator_state(state)
    assert torch.equal(torch.rand(2), expected)
