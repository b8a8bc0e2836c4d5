"""What the tests of the analysis share: models as the command line builds them, and their stages."""

import pytest

from vitlab.analysis.stages import anatomy_of
from vitlab.config.build import build
from vitlab.config.compose import resolved

IMAGES = ("model.image_size=16", "model.patch_size=4", "model.channels=3", "model.depth=2")


@pytest.fixture
def vit(compose):
    """``vit("model/attention=window")``: a small model for images of 16 px in patches of 4."""

    def make(*overrides):
        return build(resolved(compose(["model=vit_micro", *IMAGES, *overrides])), "model", ["tests"])

    return make


@pytest.fixture
def anatomy(vit):
    """``anatomy("model/attention=window")``: the stages of such a model."""
    return lambda *overrides: anatomy_of(vit(*overrides), 3, 16)


@pytest.fixture
def stages():
    """``stages(anatomy)``: all stages by role, the first of each."""

    def by_role(found):
        return {stage.role: stage for section in reversed(found.sections) for stage in reversed(section.stages)}

    return by_role
