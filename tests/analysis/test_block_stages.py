import pytest

from vitlab.analysis.block_stages import ended, flops_of
from vitlab.analysis.trace import Event


def test_products_go_to_the_next_end_of_their_module():
    events = [
        Event("a", "linear", (1,), 3),
        Event("b", "linear", (1,), 5),
        Event("b", "", (1,)),
        Event("a", "matmul", (1,), 4),
        Event("a", "", (1,)),
        Event("a", "", (2,)),
    ]
    assert [(event.path, flops_of(products)) for event, products in ended(events)] == [("b", 5), ("a", 7), ("a", 0)]


def test_the_sums_name_what_they_add(anatomy):
    def sums(*overrides):
        return [s.formula for s in anatomy(*overrides).sections[1].stages if s.role == "drop_path"]

    assert sums() == ["x + attention", "x + MLP"]
    assert sums("model/block=parallel") == ["x + attention + MLP"]
    assert sums("model/init=mup", "model.depth=16")[0] == "x + 0.25 · (attention)"


def test_scores_name_what_is_added_to_them(anatomy, stages):
    assert stages(anatomy())["scores"].formula == "S = QKᵀ / √dₖ"
    assert stages(anatomy("model/position=relative_bias"))["scores"].formula == "S = QKᵀ / √dₖ + B"
    both = anatomy("model/position=relative_bias", "model/attention=lsa")
    assert stages(both)["scores"].formula == "S = QKᵀ / τ + B + M"
    assert stages(both)["scores"].parameters == 1  # the temperature


@pytest.mark.parametrize("position", ["rope_2d", "relative_bias"])
def test_the_relation_stands_between_the_queries_and_the_scores(anatomy, position):
    roles = [s.role for s in anatomy(f"model/position={position}", "model.attention.gated=true").sections[1].stages]
    inside = roles[roles.index("qkv") : roles.index("drop_path")]
    assert inside == ["qkv", "relation", "scores", "softmax", "mixing", "gate", "proj"]


def test_the_bias_of_a_relation_is_what_it_gives(anatomy, stages):
    relation = stages(anatomy("model/position=relative_bias"))["relation"]
    assert relation.shape == (4, 17, 17)
    assert relation.parameters == 4 * (7 * 7 + 3)
