import timm.layers
import torch

from vitlab.models.layout import TokenLayout
from vitlab.models.position.relative_bias import RelativeBias, RelativeBiasPosition


def test_it_equals_timm_s_with_and_without_cls():
    for prefix in (0, 1):
        reference = timm.layers.RelPosBias((4, 3), num_heads=5, prefix_tokens=prefix)
        bias = RelativeBias(5, TokenLayout((4, 3), prefix))
        assert bias.table.shape == reference.relative_position_bias_table.shape
        bias.table.data.normal_()
        # timm counts from the key to the query, we from the query to the key: the table is read from its other end.
        distances = 7 * 5
        table = torch.cat([bias.table[:distances].flip(0), bias.table[distances:]])
        reference.relative_position_bias_table.data = table.detach()
        q = torch.randn(1, 5, 12 + prefix, 4)
        same_q, same_k, found = bias(q, q)
        assert same_q is same_k is q
        assert torch.equal(found, reference.get_bias())


def test_registers_share_the_entries_of_cls():
    bias = RelativeBias(2, TokenLayout((2, 2), 3, 2))
    bias.table.data.normal_()
    q = torch.zeros(1, 2, 7, 4)
    found = bias(q, q)[2][0]
    assert (found[:, :3, 3:] == found[:, :1, 3:4]).all()
    assert (found[:, 3:, :3] == found[:, 3:4, :1]).all()
    assert (found[:, :3, :3] == found[:, :1, :1]).all()


def test_each_block_learns_a_table_of_its_own(make_vit, gradients):
    model = make_vit(position=RelativeBiasPosition)
    assert gradients(model, torch.randn(2, 3, 8, 8)) == []
    tables = [name for name in model.no_weight_decay() if name.endswith("table")]
    assert tables == ["blocks.0.attn.relation.table", "blocks.1.attn.relation.table"]
    assert not torch.equal(model.get_parameter(tables[0]), model.get_parameter(tables[1]))
