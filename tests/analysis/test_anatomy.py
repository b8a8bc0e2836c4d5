import pytest

from vitlab.analysis.anatomy import Anatomy, Heading, Section, Stage


def stage(role, parameters, flops):
    return Stage(role, role, "", (), parameters, flops, "")


@pytest.fixture
def small():
    front = Section(Heading("front"), (stage("patch_embed", 10, 100),))
    blocks = Section(Heading("blocks"), (stage("scores", 0, 40), stage("mlp", 5, 60)), blocks=(1, 2, 3))
    return Anatomy((front, blocks), {"T": 5}, trainable=20, growth="")


def test_like_blocks_count_each(small):
    assert (small.parameters, small.flops, small.depth) == (10 + 3 * 5, 100 + 3 * 100, 3)
    assert small.meeting_flops == 3 * 40


def test_shares_are_of_the_whole(small):
    assert small.share_of_flops(stage("", 0, 40), 3) == pytest.approx(0.3)
    assert small.share_of_parameters(stage("", 5, 0), 3) == pytest.approx(0.6)


def test_a_model_without_cost_has_shares_of_nothing():
    empty = Anatomy((), {}, 0, "")
    assert empty.share_of_flops(stage("", 0, 0)) == empty.share_of_parameters(stage("", 0, 0)) == 0
