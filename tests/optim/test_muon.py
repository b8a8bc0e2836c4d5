import copy

import pytest
import torch
from torch import nn

from vitlab.optim.muon import Muon, MuonAdamW, orthogonalise
from vitlab.optim.parameter_groups import parameter_groups


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(6, 6)])
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.blocks[0](x))


def step(model, optimizer, seed=0):
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(seed))
    model(x).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def trained(model, **settings):
    model = copy.deepcopy(model)
    optimizer = MuonAdamW(parameter_groups(model), **{"lr": 0.01, **settings})
    for seed in range(3):
        step(model, optimizer, seed)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("shape", [(12, 12), (24, 8), (8, 24)])
def test_the_nearest_orthogonal_matrix_is_nearly_that_of_the_singular_value_decomposition(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    ours = orthogonalise(matrices, 5)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    singular = torch.diagonal(left.mT @ ours @ right.mT, dim1=1, dim2=2)  # the same vectors, other values
    assert torch.allclose(left @ torch.diag_embed(singular) @ right, ours, atol=1e-4)
    assert singular.min() > 0.5
    assert singular.max() < 1.3


def test_matrices_of_one_shape_do_not_mix():
    matrices = torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(0))
    together = orthogonalise(matrices, 5)
    apart = torch.cat([orthogonalise(matrix[None], 5) for matrix in matrices])
    assert torch.allclose(together, apart, atol=1e-6)


@pytest.mark.parametrize("nesterov", [True, False])
def test_it_is_torch_s_muon_but_for_the_precision_of_its_products(nesterov):
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in ((16, 16), (16, 16), (48, 16), (16, 64), (3, 3))]
    theirs = copy.deepcopy(ours)
    settings = {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.9, "nesterov": nesterov, "ns_steps": 5}
    one, other = Muon(ours, **settings), torch.optim.Muon(theirs, **settings, adjust_lr_fn="match_rms_adamw")
    begun = copy.deepcopy(ours)
    for _ in range(4):
        for a, b in zip(ours[:-1], theirs[:-1], strict=True):  # the last has no gradient
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        one.step()
        other.step()
    assert torch.equal(ours[-1], begun[-1])
    for a, b, start in zip(ours[:-1], theirs[:-1], begun, strict=False):
        assert (a - b).norm() < 0.02 * (b - start).norm()
    for a, b in zip(ours[:-1], theirs[:-1], strict=True):
        assert torch.allclose(one.state[a]["momentum_buffer"], other.state[b]["momentum_buffer"])


def test_what_is_no_hidden_matrix_is_adamw_s():
    torch.manual_seed(0)
    model = Small()
    other, optimizer = copy.deepcopy(model), MuonAdamW(parameter_groups(model), lr=0.01, weight_decay=0.1)
    hidden = Muon([other.blocks[0].weight], lr=0.01, weight_decay=0.1)
    decayed, undecayed = [other.head.weight], [other.blocks[0].bias, other.head.bias]
    adamw = torch.optim.AdamW(
        [{"params": decayed}, {"params": undecayed, "weight_decay": 0}], lr=0.01, weight_decay=0.1, fused=True
    )
    for seed in range(3):
        step(model, optimizer, seed)
        x = torch.randn(8, 6, generator=torch.Generator().manual_seed(seed))
        other(x).square().sum().backward()
        hidden.step()
        adamw.step()
        other.zero_grad()
    assert all(torch.equal(other.state_dict()[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "setting",
    [
        {"lr": 0.02},
        {"weight_decay": 0.5},
        {"momentum": 0.5},
        {"nesterov": False},
        {"ns_steps": 2},
        {"betas": [0.5, 0.9]},
        {"eps": 0.1},
    ],
)
def test_every_setting_changes_the_result(setting):
    torch.manual_seed(0)
    model = Small()
    assert not torch.equal(trained(model), trained(model, **setting))


def test_a_rate_set_in_its_groups_is_used():
    model = Small()
    optimizer = MuonAdamW(parameter_groups(model), lr=0.01)
    before = copy.deepcopy(model.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    step(model, optimizer)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_it_goes_on_from_its_state_as_if_never_stopped():
    torch.manual_seed(0)
    model = Small()
    optimizer = MuonAdamW(parameter_groups(model), lr=0.01)
    step(model, optimizer)
    copied = copy.deepcopy(model)
    resumed = MuonAdamW(parameter_groups(copied), lr=0.01)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step(model, optimizer, 1)
    step(copied, resumed, 1)
    assert all(torch.equal(copied.state_dict()[name], value) for name, value in model.state_dict().items())


def test_a_model_without_hidden_matrices_is_refused():
    with pytest.raises(ValueError, match="try optimizer=adamw"):
        MuonAdamW(parameter_groups(nn.Linear(3, 3)), lr=0.1)


@pytest.mark.parametrize(
    "wrong", [{"lr": -1}, {"weight_decay": -1}, {"momentum": 1}, {"momentum": -1}, {"ns_steps": 0}]
)
def test_illegal_values_are_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        Muon([torch.zeros(2, 2)], **wrong)


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match=r"shape \[3\] is no matrix"):
        Muon([torch.zeros(2, 2), torch.zeros(3)])
