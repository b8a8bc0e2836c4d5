"""Command lines of the pages in a short form: the rules by which they are shortened, in the order in which they apply.

What a page says is run as it stands, with what makes it short after it; only what needs a network, a cluster or several
machines, or names a place of the reader's own, is replaced. A line that no rule knows is an error.
"""

import re
import shlex
from dataclasses import dataclass

# Sets that are downloaded, and a folder of as many small images of the same size in their place.
STAND_INS = {"cifar10": ["data=image_folder_32", "data.root=PATH"]}
QUICK = ("trainer.max_steps=2", "trainer.limit_batches=1", "trainer.batch_size=8", "trainer.eval_batch_size=16")
LARGE = ("vit_small", "vit_base", "vit_large")
# Of a reader's own, where the bench (tests/docs/conftest.py) has none of that name.
PLACES = {
    "RUN": "outputs/DATE/TIME",
    "FILE": "outputs/DATE/TIME/checkpoints/best.pt",
    "multirun/…": "multirun/DATE/TIME",
}


@dataclass(frozen=True)
class Short:
    """A module to run with these arguments, or, where ``module`` is None, files and extras that there have to be."""

    module: str | None
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    leaves: str | None = None  # the folder of a sweep that is only planned, and on which later lines build


def short(words: list[str]) -> Short:
    """The short form of a command line.

    Raises:
        AssertionError: no rule knows it.
    """
    match words:
        case ["pip", "install", *what]:
            alone = what[: what.index("&&")] if "&&" in what else what
            return Short(None, needs=tuple(extra for word in alone for extra in re.findall(r"\[([\w,]+)\]", word)))
        case ["git", "clone", *_] | ["cd", _] | ["pre-commit", "install"] | ["python", "-m", "pytest", *_]:
            return Short(None)
        case ["step", *_]:  # what a run says
            return Short(None)
        case [script] if script.startswith(".ci/"):
            return Short(None, needs=(script,))
        case ["mkdocs", "build" | "serve", *_]:
            return Short(None, needs=("mkdocs.yml",))
        case ["wandb", "sweep", file]:  # tests/test_wandb_sweep.py runs it
            return Short(None, needs=(file,))
        case ["wandb", "agent", *_]:
            return Short(None)
        case ["python", "-m", module, *_] if module.startswith("benchmarks."):
            return Short(None, needs=(f"{module.replace('.', '/')}.py",))
        case ["srun", *_, "bash", "-c", inner]:
            return short(shlex.split(re.sub(r"\$\w+", "1", inner)))
        case ["torchrun", *arguments]:
            return Short("vitlab.train", _train(_of_torchrun(arguments)))
        case ["python", "-m", "vitlab.train", *arguments]:
            folder = next((a.partition("=")[2] for a in arguments if a.startswith("hydra.sweep.dir=")), None)
            return Short("vitlab.train", _train(arguments), leaves=folder)
        case ["python", "-m", module, *arguments] if module.startswith("vitlab."):
            return Short(module, _others(module.removeprefix("vitlab."), arguments))
    raise AssertionError(f"no rule of tests/support/short.py knows: {shlex.join(words)}")


def _of_torchrun(arguments: list[str]) -> list[str]:
    """What torchrun, whose own parser reads its part of the line, would start in each process."""
    from torch.distributed.run import parse_args

    parsed = parse_args(arguments)
    assert parsed.module
    assert parsed.training_script == "vitlab.train"
    return list(parsed.training_script_args)


def _train(arguments: list[str]) -> tuple[str, ...]:
    """Two steps of eight images; of a sweep the plan, in which each job is built and trained for four steps."""
    if any(argument in ("--help", "--cfg") for argument in arguments):
        return tuple(arguments)
    if any(argument.startswith("resume=") for argument in arguments):
        return ("resume=interrupted",)
    if any(argument.startswith("sweep.resume=") for argument in arguments):
        return tuple(arguments)
    kept = [_placed(argument) for argument in arguments if argument != "…" and not _tells_length(argument)]
    stood_in = [word for argument in kept for word in _stood_in(argument)]
    added = [] if _set(stood_in, "tracker") else ["tracker=none"]
    added += [quick for quick in QUICK if not _set(kept, quick.partition("=")[0])]
    if any(argument.startswith("budget=time:") for argument in kept):
        added.remove("trainer.max_steps=2")  # which the budget finds
    if any(argument == f"model={size}" for argument in kept for size in LARGE) and not _set(kept, "model.freeze"):
        added += [] if _set(kept, "model.depth") else ["model.depth=1"]
    if "experiment=peak_cifar10" in kept:
        added.append("model.depth=1")  # bf16 is slow on most CPUs
    if "experiment=vit_s16_imagenet" in kept:
        added += ["data.num_classes=10", "data.val_fraction=0.1", "scheduler.warmup=0 steps", "model.depth=1"]
    if _set(kept, "model.weights"):
        added += ["model.allow_mismatch=true"]  # FILE stands for weights of any other model
    if "hydra/sweeper=optuna" in kept:  # thinks of its jobs as it goes, and has no plan
        return (*stood_in, *added, "hydra.sweeper.n_trials=1")
    if any(argument.startswith(("budget=params:", "budget=flops:")) for argument in kept):
        stood_in = [_first(argument) for argument in stood_in]  # the search for a width takes a while for each job
    if {"-m", "--multirun"} & set(kept) or any(argument.startswith("sweep") for argument in kept):
        added += ["sweep.plan=true", "sweep.illegal=refuse"]
    return (*stood_in, *added)


def _first(argument: str) -> str:
    """``argument`` with the first value of its list."""
    key, equals, value = argument.partition("=")
    return argument if "[" in value else f"{key}{equals}{value.partition(',')[0]}"


def _stood_in(argument: str) -> list[str]:
    if argument.startswith("experiment="):
        return [argument, *(STAND_INS["cifar10"] if argument.endswith("_cifar10") else ())]
    key, _, value = argument.partition("=")
    return STAND_INS.get(value, [argument]) if key == "data" else [argument]


def _tells_length(argument: str) -> bool:
    return argument.startswith(("trainer.epochs=", "trainer.max_steps="))


def _others(command: str, arguments: list[str]) -> tuple[str, ...]:
    placed = [_placed(argument) for argument in arguments]
    if command == "plan":
        return tuple(word for word in _train(placed) if not word.startswith("sweep.plan="))
    if command in ("verify_resume", "sync"):  # three processes; W&B's server: tests/test_<command>.py run them
        return (*placed, "--cfg", "job")
    if command == "evaluate" and "robustness=true" in arguments:
        return (*placed, "batch_size=16", "robustness_images=16")
    return tuple(placed)


def _placed(argument: str) -> str:
    key, equals, value = argument.rpartition("=")
    return f"{key}{equals}{PLACES.get(value, value)}"


def _set(arguments: list[str], key: str) -> bool:
    return any(re.match(rf"[+~]*{re.escape(key)}[.=]", argument) for argument in arguments)
