import torch

from vitlab.evaluation.robustness import coarsen, drop_patches, shift, shuffle_patches


def draw():
    return torch.Generator().manual_seed(0)


def images():
    return torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8, generator=draw())


def pieces(image, side):
    return sorted(tuple(p.flatten().tolist()) for row in image.split(side, 1) for p in row.split(side, 2))


def test_shuffled_patches_are_the_same_patches_in_another_order():
    before = images()
    after = shuffle_patches(before, 2, draw())
    assert after.dtype == torch.uint8
    assert not torch.equal(before, after)
    for one, other in zip(before, after, strict=True):
        assert pieces(one, 2) == pieces(other, 2)


def test_dropped_patches_are_of_the_mean_colour_and_as_many_as_said():
    before = images()
    after = drop_patches(before, 2, 0.25, draw())
    for one, other in zip(before, after, strict=True):
        changed = (one != other).any(0).view(4, 2, 4, 2).any(3).any(1)
        assert changed.sum() == 4
        mean = one.float().mean((1, 2)).round()
        inside = other[:, (one != other).any(0)]
        assert torch.equal(inside.unique(dim=1).float(), mean[:, None])


def test_a_shift_moves_the_image_one_way_and_repeats_its_border():
    before = images()
    after = shift(before, 3, draw())
    for one, other in zip(before, after, strict=True):
        ways = [
            torch.equal(other[:, 3:], one[:, :-3]) and torch.equal(other[:, :3], one[:, :1].expand(-1, 3, -1)),
            torch.equal(other[:, :-3], one[:, 3:]),
            torch.equal(other[:, :, 3:], one[:, :, :-3]),
            torch.equal(other[:, :, :-3], one[:, :, 3:]),
        ]
        assert sum(ways) == 1


def test_coarsened_images_lose_detail_and_keep_one_colour():
    checks = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8).repeat(4, 4).expand(1, 3, 8, 8)
    assert coarsen(checks, 2, draw()).float().std() < 10
    plain = torch.full((1, 3, 8, 8), 9, dtype=torch.uint8)
    assert torch.equal(coarsen(plain, 4, draw()), plain)
