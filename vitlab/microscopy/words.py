"""What the microscope has found, in sentences."""

from typing import Any

import numpy as np

from vitlab.microscopy.positions import ADDED, BIASED, TURNED
from vitlab.microscopy.shares import ITSELF, OTHERS

_CLEAR = 0.05  # a change of a cosine that is spoken of
_EVEN = 0.95  # of all tokens: a head that looks at so many makes no choice
_SAME = 0.995  # CKA that is written as 1


def depth_name(number: int) -> str:
    """Of a layer, counted from 0 before the first block."""
    return f"block {number}" if number else "the embedded patches"


def has_patches(found: dict[str, Any]) -> bool:
    """Whether an image is cut into several, that lie apart and can be alike."""
    rows, columns = found["grid"]
    return bool(rows * columns > 1)


def distance(found: dict[str, Any]) -> str:
    """How far the heads of the first and of the last block look."""
    of_blocks = found["distance"]["patches"]

    def span(number: int) -> str:
        low, high = min(of_blocks[number]), max(of_blocks[number])
        return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"

    told = f"heads of block 1 look {span(0)} patches far"
    return told if len(of_blocks) == 1 else f"{told}, of block {len(of_blocks)} {span(-1)}"


def focus(found: dict[str, Any]) -> str:
    """Which head looks at fewest tokens."""
    tokens = np.exp(np.array(found["entropy"]["nats"]))
    block, head = np.unravel_index(tokens.argmin(), tokens.shape)
    if tokens.min() > _EVEN * found["tokens"]:
        return f"no head is focused: each looks at {tokens.min():.1f} of {found['tokens']} tokens or more"
    return f"head {head + 1} of block {block + 1} is most focused: as on {tokens.min():.1f} of {found['tokens']} tokens"


def shares(found: dict[str, Any]) -> str:
    """How much of their attention patches give to tokens that are no patches."""
    by_kind = {kind: np.array(values).mean(axis=1) for kind, values in found["shares"].items()}  # [L]
    special = [kind for kind in by_kind if kind not in (ITSELF, OTHERS)]
    of_blocks = sum((by_kind[kind] for kind in special or [ITSELF]), np.zeros(()))
    most = int(np.argmax(of_blocks))
    what = " and ".join(special) or "themselves"
    return f"patches give {what} up to {of_blocks[most]:.0%} of their attention (block {most + 1})"


def similarity(found: dict[str, Any]) -> str:
    """Whether the patches of an image grow alike."""
    first, *_, last = found["similarity"]
    how = "stay as alike as they were"
    if abs(last - first) > _CLEAR:
        how = "grow more alike" if last > first else "grow less alike"
    return f"the patches of an image {how}: {first:.2f} before the blocks, {last:.2f} after them"


def alignment(found: dict[str, Any]) -> str:
    """Which two layers have least in common."""
    table = np.array(found["cka"], dtype=float)
    table[np.diag_indices(len(table))] = np.inf  # each has all in common with itself
    if table.min() > _SAME:
        return "all layers say the same"
    one, other = sorted(int(number) for number in np.unravel_index(table.argmin(), table.shape))
    return f"{depth_name(one)} and {depth_name(other)} have least in common: CKA {table.min():.2f}"


def alignment_with_other(found: dict[str, Any]) -> str:
    """Where the last layer of this run stands in the other."""
    last = found["cka_other"][-1]
    nearest = int(np.argmax(last))
    return f"the last block is most like {depth_name(nearest)} of {found['other']}: CKA {last[nearest]:.2f}"


def loss(found: dict[str, Any]) -> str:
    """Which part is needed most, and for how many heads no loss can be told from chance."""
    rows = found["ablation"]["rows"]
    worst = max(rows, key=lambda row: row["drop"])
    heads = [row for row in rows if row["part"] == "head"]
    if all(row["drop_95"][0] <= 0 for row in rows):
        return "no part can be told to be missed"
    spare = sum(row["drop_95"][0] <= 0 for row in heads)  # the interval holds zero, or the model is better without it
    return f"most is lost without {named(worst)}: {points(worst)}; without {spare} of {len(heads)} heads no clear loss"


def named(row: dict[str, Any]) -> str:
    """What was taken out."""
    if row["block"] is None:
        return str(row["part"])
    return f"block {row['block']}" if row["head"] is None else f"head {row['head']} of block {row['block']}"


def points(row: dict[str, Any]) -> str:
    """What was lost, with its interval."""
    low, high = (100 * end for end in row["drop_95"])
    return f"{100 * row['drop']:.1f} points ({low:.1f} to {high:.1f})"


def positions(found: dict[str, Any]) -> list[str]:
    """What each grid of the positions tells; one sentence that there is none."""
    told = {
        ADDED: "the positions of neighbours have a cosine of {near:.2f}, of far patches {far:.2f}",
        TURNED: "equal query and key keep {near:.2f} of their score between neighbours, {far:.2f} far apart",
        BIASED: "places add {near:+.2f} to the score of neighbours, {far:+.2f} to that of far patches",
    }
    grids = [told[grid["kind"]].format(**grid) for grid in found["positions"]["grids"]]
    return grids or [f"{found['positions']['part']} tells no patch where it stands"]


def filters(found: dict[str, Any]) -> str:
    """How many patterns the filters of the patch embedding are made of."""
    variance = found["filters"]["variance"]
    if variance is None:
        return f"{found['filters']['part']} has no filters: more than a weighted sum lies between pixels and token"
    enough = int(np.searchsorted(np.cumsum(variance), 0.9 - 1e-6)) + 1
    return f"{enough} of {len(variance)} patterns hold 90 % of the variance of the patch filters"


def agreement(found: dict[str, Any]) -> str:
    """Whether the class has a say in where the model looks."""
    value = found["agreement"]
    if value is None:
        return "the maps are too even to be compared"
    how = "well" if value > 0.7 else "in part" if value > 0.3 else "little"
    return f"rollout and gradient rollout agree {how} (r = {value:.2f})"


def sentences(found: dict[str, Any]) -> list[str]:
    """What there is to say."""
    reach = f"{distance(found)} (evenly {found['distance']['even']:.1f}; a patch is {found['pixels_a_patch']:g} px)"
    of_several = [reach, similarity(found)] if has_patches(found) else ["an image is one patch: there is no distance"]
    told = [
        f"seen with {found['images']:,} {'image' if found['images'] == 1 else 'images'} of {found['source']}, "
        f"with the weights of step {found['step']}",
        *of_several[:1],
        focus(found),
        shares(found),
        *of_several[1:],
        agreement(found),
        *positions(found),
        filters(found),
    ]
    without = "CKA takes four images or more" + (f", so {found['other']} was left out" if found["other"] else "")
    told.append(alignment(found) if found["cka"] else without)
    if found.get("cka_other"):
        told.append(alignment_with_other(found))
    if "ablation" in found:
        of = found["ablation"]
        told.append(f"{loss(found)} ({of['images']:,} images, {of['accuracy']:.1%} right with all parts)")
    return told
