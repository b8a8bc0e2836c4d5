"""What ``vitlab.explain`` shows: stages, gathered in sections, and the figures of the whole model."""

from dataclasses import dataclass

Sizes = dict[str, int]


@dataclass(frozen=True)
class Stage:
    """One step of the forward pass.

    Args:
        role: what it is for, ``qkv`` or ``mlp`` say.
        name: the same in words.
        formula: of what it computes.
        shape: of its result for one image.
        parameters: that it holds.
        flops: that it takes for one image.
        text: what it does and why, in one to three sentences.
        of_attention: whether it is a step of the attention.
        of_branch: whether it lies between the beginning and the end of a shortcut.
    """

    role: str
    name: str
    formula: str
    shape: tuple[int, ...]
    parameters: int
    flops: int
    text: str
    of_attention: bool = False
    of_branch: bool = False


@dataclass(frozen=True)
class Heading:
    """What stands above several stages: a name, a formula and a text, of a block or of its attention.

    ``detail`` tells blocks apart that differ in their attention.
    """

    name: str
    formula: str = ""
    text: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Section:
    """Stages that follow each other; those of identical blocks are given once, for one of them.

    Args:
        heading: of the section.
        stages: in the order of the pass.
        blocks: numbers of the identical blocks, from 1; empty if it is no block.
        attention: heading of the stages that are steps of the block's attention, or None.
        side_by_side: whether attention and MLP read the same, in place of one reading what the other leaves.
    """

    heading: Heading
    stages: tuple[Stage, ...]
    blocks: tuple[int, ...] = ()
    attention: Heading | None = None
    side_by_side: bool = False

    @property
    def times(self) -> int:
        """How often these stages stand in the model."""
        return max(1, len(self.blocks))

    @property
    def parameters(self) -> int:
        """Of all its blocks together."""
        return self.times * sum(stage.parameters for stage in self.stages)

    @property
    def flops(self) -> int:
        """Of all its blocks together, for one image."""
        return self.times * sum(stage.flops for stage in self.stages)


@dataclass(frozen=True)
class Anatomy:
    """A whole model, from the image to the classes.

    Args:
        sections: in the order of the pass.
        sizes: what the letters in formulas and shapes stand for.
        trainable: parameters that are not frozen.
        growth: in words, how the FLOPs of the tokens' meeting in the attentions grow with the number of tokens.
    """

    sections: tuple[Section, ...]
    sizes: Sizes
    trainable: int
    growth: str

    @property
    def parameters(self) -> int:
        """All of the model's."""
        return sum(section.parameters for section in self.sections)

    @property
    def flops(self) -> int:
        """Of one forward pass of one image; two for each multiply-add of matrix products and convolutions."""
        return sum(section.flops for section in self.sections)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return sum(len(section.blocks) for section in self.sections)

    @property
    def meeting_flops(self) -> int:
        """Those of them in which tokens meet tokens: scores and mixing, or what an attention has in their place."""
        met = ("scores", "softmax", "memory", "normaliser", "mixing")
        return sum(section.times * s.flops for section in self.sections for s in section.stages if s.role in met)

    def share_of_flops(self, stage: Stage, times: int = 1) -> float:
        """Share of all FLOPs that ``times`` such stages take."""
        return times * stage.flops / self.flops if self.flops else 0.0

    def share_of_parameters(self, stage: Stage, times: int = 1) -> float:
        """Share of all parameters that ``times`` such stages hold."""
        return times * stage.parameters / self.parameters if self.parameters else 0.0
