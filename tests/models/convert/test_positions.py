import pytest
import timm
import torch
import torchvision
from references import WIDTH, hugging_face_reference

from vitlab.models.convert import positions
from vitlab.models.convert.positions import num_prefix, placed_like_ours, resized

SIZES = [3, 4, 6, 9]  # from a grid of 6


def grid(side=6):
    return torch.randn(1, side**2, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("side", SIZES)
def test_timm_s_way(side):
    expected = timm.layers.resample_abs_pos_embed(grid(), [side, side], num_prefix_tokens=0)
    assert torch.allclose(resized(grid(), (side, side), positions.TIMM), expected, atol=1e-6)


@pytest.mark.parametrize("side", SIZES)
def test_torchvision_s_way(side):
    state = {"encoder.pos_embedding": torch.cat([torch.zeros(1, 1, WIDTH), grid()], dim=1)}
    state = torchvision.models.vision_transformer.interpolate_embeddings(8 * side, 8, state)
    assert torch.allclose(
        resized(grid(), (side, side), positions.TORCHVISION), state["encoder.pos_embedding"][:, 1:], atol=1e-6
    )


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize(
    ("kind", "resize"),
    [
        ("ViT", positions.HUGGING_FACE),
        ("Dinov2", positions.HUGGING_FACE),
        ("Dinov2WithRegisters", positions.HUGGING_FACE_REGISTERS),
    ],
)
def test_hugging_face_s_way(side, kind, resize):
    model, _ = hugging_face_reference(kind, image_size=48)
    embeddings = model.base_model.embeddings
    embeddings.position_embeddings.data[:, 1:] = grid()
    tokens = torch.zeros(1, 1 + side**2, WIDTH)
    expected = embeddings.interpolate_pos_encoding(tokens, 8 * side, 8 * side)[:, 1:]
    assert torch.allclose(resized(grid(), (side, side), resize), expected, atol=1e-6)


def test_the_ways_differ():
    ways = [positions.TIMM, positions.TORCHVISION, positions.HUGGING_FACE]
    smaller = [resized(grid(), (4, 4), way) for way in ways]
    assert not any(torch.allclose(smaller[i], smaller[j], atol=1e-3) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_the_same_grid_stays_bit_for_bit_and_half_precision_becomes_whole():
    assert torch.equal(resized(grid(), (6, 6), positions.TIMM), grid())
    assert resized(grid().bfloat16(), (4, 4), positions.TIMM).dtype == torch.float32


def test_positions_of_no_square_grid_are_refused():
    with pytest.raises(ValueError, match="15 positions make no square grid"):
        resized(grid()[:, :15], (4, 4), positions.TIMM)
    with pytest.raises(ValueError, match="8 positions make no square grid with 1 tokens before it"):
        placed_like_ours({"cls_token": torch.zeros(1, 1, 4), "position.embedding": torch.zeros(1, 8, 4)}, 9)


@pytest.mark.parametrize(
    ("count", "placed", "registers", "patches", "expected"),
    [
        (17, 1, 0, 16, 1),
        (18, 2, 0, 16, 2),
        (16, 1, 0, 16, 0),
        (16, 1, 4, 16, 0),
        (21, 1, 4, 16, 5),
        (17, 1, 4, 64, 1),
        (9, 1, 4, 9, 0),  # nine patches, or four behind five tokens: the model decides
        (9, 1, 4, 4, 5),
        (15, 1, 0, 16, None),
        (1, 1, 0, 16, 0),  # one patch is a grid too
    ],
)
def test_how_many_stand_before_the_patches(count, placed, registers, patches, expected):
    assert num_prefix(count, placed, registers, patches) == expected


def test_a_register_s_position_joins_the_register():
    state = {"cls_token": torch.zeros(1, 1, 4), "registers": torch.ones(1, 2, 4)}
    state["position.embedding"] = torch.arange(7.0).view(1, 7, 1).expand(1, 7, 4)
    ours = placed_like_ours(state, 4)
    assert ours["registers"][0, :, 0].tolist() == [2, 3]
    assert ours["position.embedding"][0, :, 0].tolist() == [0, 3, 4, 5, 6]
