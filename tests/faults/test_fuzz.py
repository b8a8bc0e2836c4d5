"""Whatever is typed, and whatever lies in the files of a run: it is taken or cleanly refused."""

import json
from contextlib import suppress

import hydra
import pytest
from hydra.errors import HydraException
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vitlab.assembly import assemble
from vitlab.config import saved
from vitlab.config.compose import HYDRA_VERSION_BASE, conf_dir, register_resolvers, resolved
from vitlab.config.rules import refuse_illegal
from vitlab.engine.checkpoint import read
from vitlab.engine.stop import GracefulStop
from vitlab.errors import VitlabError
from vitlab.runs import RunFolder
from vitlab.tracking.records import rows_of

pytestmark = [pytest.mark.slow, pytest.mark.faults]

CLEAN = (VitlabError, HydraException, OmegaConfBaseException)
PARSER = (ValueError, RecursionError)  # of Hydra's parser, which run_command turns into a message
SMALL = ("model.depth=1", "model.embed_dim=8", "model.num_heads=1", "tracker=none", "trainer.device=cpu")
FEW = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def leaves(node, prefix=""):
    """Every dotted key of a config that is no node."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def composed(overrides):
    register_resolvers()
    with hydra.initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE):
        try:
            return hydra.compose("train", overrides)
        except PARSER as error:
            raise VitlabError("not parsed") from error


KEYS = sorted(set(leaves(OmegaConf.to_container(composed([])))) - {"resume", "model.weights"})
WORDS = ("true", "null", "[]", "{}", "[1,2]", "{a:1}", "''", "inf", "nan", "1e400", "${seed}", "???", "1 epoch")
VALUES = (
    (st.integers(-(2**70), 2**70) | st.integers(-3, 9) | st.floats()).map(str)
    | st.sampled_from(WORDS)
    | st.text(max_size=20)
    | st.text(alphabet="0123456789.e-+x ", max_size=8)
)
BYTES = st.binary(max_size=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
ROWS = st.lists(JSON, max_size=4).map(lambda rows: "".join(f"{json.dumps(row)}\n" for row in rows).encode())


def is_small(cfg):
    """Whether it is built in no time: a depth of a million is legal, and takes its hour."""
    sizes = ("depth", "embed_dim", "num_heads", "mlp_ratio", "num_registers", "image_size", "channels", "num_classes")
    numbers = [OmegaConf.select(cfg, f"model.{name}") for name in sizes]
    return all(isinstance(number, int | float) and number <= 64 for number in numbers)


@FEW
@given(key=st.sampled_from(KEYS), value=VALUES)
@example(key="trainer.epochs", value="9" * 5000)
@example(key="model.channels", value="2")
@example(key="model.num_classes", value="2")
@example(key="model.depth", value="\N{ARABIC-INDIC DIGIT FOUR}")
def test_any_value_of_any_key_is_taken_or_refused(key, value, tmp_path):
    with suppress(*CLEAN):
        cfg = composed([*SMALL, f"{key}={value}"])
        refuse_illegal(resolved(cfg), [])
        if is_small(cfg):
            assemble(cfg, tmp_path, GracefulStop())


@FEW
@given(argument=st.text(max_size=40))
def test_any_argument_is_taken_or_refused(argument):
    with suppress(*CLEAN):
        refuse_illegal(resolved(composed([argument])), [])


@FEW
@given(content=BYTES | ROWS)
def test_any_rows_are_read_or_refused(content, tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with suppress(*CLEAN):
        assert all(isinstance(row, dict) for row in rows_of(tmp_path))


@FEW
@given(content=BYTES)
def test_any_bytes_are_refused_as_a_checkpoint(content, tmp_path):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(VitlabError):
        read(tmp_path / "last.pt")


@FEW
@given(content=BYTES | JSON.map(lambda value: json.dumps(value).encode()) | st.text(max_size=60).map(str.encode))
def test_any_config_summary_and_overrides_are_read_or_refused(content, tmp_path):
    run = RunFolder(tmp_path)
    for path in (run.config, run.summary, run.overrides):
        path.write_bytes(content)
    assert isinstance(run.read_summary(), dict)
    assert isinstance(run.status(), str)
    for reader in (saved.load, saved.load_overrides):
        with suppress(*CLEAN):
            reader(run)
