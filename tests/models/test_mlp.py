import torch
from torch.nn import functional as F

from vitlab.models.mlp import GeluMlp


def test_it_is_two_linear_layers_with_gelu_between():
    mlp, tokens = GeluMlp(4, 16), torch.randn(2, 3, 4)
    w1, b1, w2, b2 = mlp.parameters()
    expected = F.gelu(tokens @ w1.T + b1) @ w2.T + b2
    assert torch.allclose(mlp(tokens), expected, atol=1e-6)
    assert w1.shape == (16, 4)


def test_dropout_follows_each_layer_while_training_only():
    mlp, tokens = GeluMlp(64, 256, mlp_drop=0.5), torch.randn(8, 3, 64)
    hidden_inputs = []
    mlp.fc2.register_forward_pre_hook(lambda module, inputs: hidden_inputs.append(inputs[0]))
    assert 0.4 < (mlp(tokens) == 0).float().mean() < 0.6
    assert 0.4 < (hidden_inputs[0] == 0).float().mean() < 0.6
    mlp.eval()
    assert torch.equal(mlp(tokens), mlp(tokens))
    assert (mlp(tokens) != 0).all()
