import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vitlab.objectives.distill import Distillation

IMAGES, LABELS = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 4, 0])


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5))


def test_the_soft_loss_is_hinton_s_by_hand():
    student, teacher, temperature = network(0), network(1), 4.0
    own, theirs = student(IMAGES), teacher(IMAGES)
    p, q = (theirs / temperature).softmax(1), (own / temperature).softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean() * temperature**2
    expected = 0.7 * F.cross_entropy(own, LABELS, label_smoothing=0.1) + 0.3 * divergence
    loss = Distillation(teacher, "soft", temperature, weight=0.3, label_smoothing=0.1)
    assert loss(student, IMAGES, LABELS).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_hard_loss_is_deit_s_by_hand():
    student, teacher = network(0), network(1)
    choice = teacher(IMAGES).argmax(1)
    expected = (F.cross_entropy(student(IMAGES), LABELS) + F.cross_entropy(student(IMAGES), choice)) / 2
    loss = Distillation(teacher, "hard", weight=0.5)
    assert loss(student, IMAGES, LABELS).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_with_a_distillation_token_each_head_has_a_loss_of_its_own(make_vit, kind):
    student, teacher = make_vit(distillation_token=True).eval(), network(1)
    by_labels, by_teacher = student(IMAGES, both_heads=True)
    taught = teacher(IMAGES)
    if kind == "hard":
        from_teacher = F.cross_entropy(by_teacher, taught.argmax(1))
    else:
        from_teacher = 9 * F.kl_div((by_teacher / 3).log_softmax(1), (taught / 3).softmax(1), reduction="batchmean")
    expected = 0.5 * F.cross_entropy(by_labels, LABELS) + 0.5 * from_teacher
    found = Distillation(teacher, kind)(student, IMAGES, LABELS)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    assert student.head.weight.grad.abs().sum() > 0
    assert student.head_dist.weight.grad.abs().sum() > 0


def test_soft_targets_of_mixed_images_are_taken():
    shares = torch.rand(6, 5).softmax(1)
    student = network(0)
    expected = F.cross_entropy(student(IMAGES), shares)
    assert Distillation(network(1), weight=0.0)(student, IMAGES, shares).item() == pytest.approx(expected.item())


def test_a_teacher_equal_to_the_student_teaches_nothing_softly():
    loss = Distillation(network(0), "soft", weight=1.0)
    assert loss(network(0), IMAGES, LABELS).item() == pytest.approx(0, abs=1e-6)


def test_the_teacher_is_frozen_in_eval_and_sees_the_same_images_once():
    seen = []
    teacher = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 5)).train()
    teacher.register_forward_hook(lambda module, inputs, out: seen.append((inputs[0], module.training, out)))
    loss = Distillation(teacher)
    student = network(0)
    loss(student, IMAGES, LABELS).backward()
    ((images, training, out),) = seen
    assert images is IMAGES
    assert not training
    assert not out.requires_grad
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "warm"}, "kind=warm is not one of soft, hard"),
        ({"temperature": 0.0}, "temperature=0.0 is not greater than 0; try 3.0"),
        ({"weight": 1.5}, r"weight=1.5 lies outside \[0, 1\]; try 0.5"),
        ({"label_smoothing": 1.0}, r"label_smoothing=1.0 lies outside \[0, 1\); try 0.1"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Distillation(network(1), **settings)
