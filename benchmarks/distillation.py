"""``python -m benchmarks.distillation PICTURES``: a small student with a teacher against the same student without.

``PICTURES`` is a folder of 32 px images with ``train/<class>/`` and ``test/<class>/``. One teacher is trained, then the
student three times in each way, all through the command line on the same share of the images. Prints a table.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev

from benchmarks.side_by_side import machine, written

SEEDS = (0, 1, 2)
SHARED = [
    *("data=image_folder_32", "tracker=none", "trainer.device=cpu", "augment=light", "trainer.batch_size=64"),
    *("trainer.limit_batches=40", "trainer.validate_every=5 epochs", "trainer.save_every=5 epochs"),
    *("model.embed_dim=64", "model.num_heads=4", "model/pool=mean"),
]
TEACHER = [
    *("model.depth=4", "model/patch_embed=cct", "model.depthwise_shortcut=true", "trainer.epochs=20", "seed=100"),
    "optimizer.lr=2e-3",
]
STUDENT = ["model.depth=3", "trainer.epochs=10", "optimizer.lr=2e-3"]
WAYS = {
    "labels alone": [],
    "soft, T = 3": ["objective=distill", "objective.weight=0.7"],
    "hard, with a token": ["objective=distill", "objective.kind=hard", "model.distillation_token=true"],
}


def train(folder: Path, pictures: str, *overrides: str) -> float:
    """Test accuracy of one run, in percent."""
    command = ["vitlab.train", *SHARED, f"data.root={pictures}", f"hydra.run.dir={folder}", *overrides]
    subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
    accuracy: float = json.loads((folder / "summary.json").read_text())["test_accuracy"]
    return 100 * accuracy


def main() -> None:
    """Train all and print the table."""
    pictures = sys.argv[1]
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        teacher = Path(folder) / "teacher"
        print(f"Teacher ({' '.join(TEACHER)}): {train(teacher, pictures, *TEACHER):.1f} %\n")
        print(f"Student: {' '.join(STUDENT)}; all: {' '.join(SHARED)}\n")
        print(f"| student | {' | '.join(f'seed {seed}' for seed in SEEDS)} | mean ± sd | against labels alone |")
        print("|---" * (len(SEEDS) + 3) + "|")
        baseline: list[float] = []
        for number, (way, overrides) in enumerate(WAYS.items()):
            taught = [f"objective.teacher={teacher}"] if overrides else []
            names = [Path(folder) / f"student-{number}-{seed}" for seed in SEEDS]
            found = [
                train(name, pictures, *STUDENT, *overrides, *taught, f"seed={seed}")
                for name, seed in zip(names, SEEDS, strict=True)
            ]
            baseline = baseline or found
            gains = [a - b for a, b in zip(found, baseline, strict=True)]
            gain = f"{mean(gains):+.1f} ± {stdev(gains):.1f}" if overrides else ""
            cells = " | ".join(f"{accuracy:.1f}" for accuracy in found)
            print(f"| {way} | {cells} | {mean(found):.1f} ± {stdev(found):.1f} | {gain} |", flush=True)


if __name__ == "__main__":
    with written("distillation"):
        main()
