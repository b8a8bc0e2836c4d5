import cmath

import pytest
import torch

from vitlab.models.layout import TokenLayout
from vitlab.models.position.rotary import RotaryPosition, Rotation

LAYOUT = TokenLayout((3, 4), 2, 1)


def test_each_pair_is_turned_as_a_complex_number():
    turn, q = Rotation(8, LAYOUT, base=100.0), torch.randn(2, 3, 14, 8)
    out, _, bias = turn(q, q)
    assert bias is None
    assert torch.equal(out[:, :, :2], q[:, :, :2])  # CLS and register stay
    frequencies = [100 ** (-i / 2) for i in range(2)]
    for patch in range(12):
        row, column = divmod(patch, 4)
        angles = [row * f for f in frequencies] + [column * f for f in frequencies]
        for pair, angle in enumerate(angles):
            before = complex(q[1, 2, 2 + patch, pair], q[1, 2, 2 + patch, pair + 4])
            after = complex(out[1, 2, 2 + patch, pair], out[1, 2, 2 + patch, pair + 4])
            assert after == pytest.approx(before * cmath.exp(1j * angle), abs=1e-5)


def test_the_score_of_two_patches_depends_on_their_distance_alone():
    turn = Rotation(8, TokenLayout((6, 6), 0), base=100.0)
    q, k = torch.randn(8).expand(1, 1, 36, 8), torch.randn(8).expand(1, 1, 36, 8)
    q, k, _ = turn(q, k)
    scores = (q @ k.transpose(-2, -1))[0, 0].view(6, 6, 6, 6)
    assert scores[0, 0, 2, 3].item() == pytest.approx(scores[3, 1, 5, 4].item(), abs=1e-5)
    assert scores[0, 0, 2, 3].item() != pytest.approx(scores[0, 0, 3, 2].item(), abs=1e-3)


def test_nothing_is_learned_or_saved_and_the_number_format_stays():
    turn = RotaryPosition(24, 3, LAYOUT).relation(LAYOUT)
    assert list(turn.parameters()) == []
    assert turn.state_dict() == {}
    q = torch.randn(1, 3, 14, 8, dtype=torch.bfloat16)
    assert turn(q, q)[0].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("width", "heads", "hint"), [(24, 4, "num_heads=3 or 6"), (18, 3, "embed_dim=12"), (64, 32, "num_heads=16")]
)
def test_heads_that_do_not_split_in_four_are_refused(width, heads, hint):
    with pytest.raises(ValueError, match=f"heads whose width 4 divides, not {width // heads}; try {hint}"):
        RotaryPosition(width, heads, LAYOUT)
