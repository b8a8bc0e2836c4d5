import dataclasses

import pytest

from vitlab.data.spec import Spec


def test_the_facts_of_a_data_set_cannot_be_changed():
    spec = Spec(8, 1, 10, (0.3,), (0.4,), tuple("0123456789"), 2, False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.num_classes = 11
