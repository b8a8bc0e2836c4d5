import signal

import pytest
import torch

from vitlab.errors import Interrupted
from vitlab.evaluation.predictions import First, Predictor


def test_every_image_is_predicted_once_and_in_order(predictor, split):
    found = predictor.on(split)
    assert torch.equal(found.logits, split.images[:, 0, 0, :3].float())
    assert torch.equal(found.labels, split.labels)
    assert found.accuracy == pytest.approx(5 / 6)


def test_no_more_images_are_predicted_than_were_asked_for(predictor, split):
    for count in (3, 4, 5, 9):
        assert torch.equal(predictor.on(First(split, count)).labels, split.labels[:count])


def test_a_change_is_made_before_the_model_sees_the_images(predictor, split):
    assert predictor.on(split, change=torch.zeros_like).logits.abs().sum() == 0


def test_the_mirrored_probability_is_the_mean_of_both(predictor, split):
    found = predictor.on(split, mirrored=True).logits.softmax(1)
    images = split.images.float()
    by_hand = (images[:, 0, 0, :3].softmax(1) + images.flip(-1)[:, 0, 0, :3].softmax(1)) / 2
    assert torch.allclose(found, by_hand, atol=1e-6)


def test_a_stop_is_obeyed_between_batches(predictor, split):
    class Asked:
        requested = True

        def obey(self):
            raise Interrupted(signal.SIGTERM)

    asked = Predictor(predictor.model, predictor.augment, predictor.precision, Asked())
    with pytest.raises(Interrupted):
        asked.on(split)
