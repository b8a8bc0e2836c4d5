"""A real Slurm of two virtual nodes, begun once and ended by its own process ids."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

SLURM = Path(__file__).with_name("slurm_two_nodes.sh")


@pytest.fixture(scope="session")
def slurm_of_two_nodes(tmp_path_factory):
    """The folder of a running Slurm with the nodes n1 and n2, of two CPUs and two pretended GPUs each."""
    missing = [program for program in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"Slurm's {', '.join(missing)} not installed" if missing else "only root can start Slurm's nodes")
    folder = tmp_path_factory.mktemp("slurm")
    env = {**os.environ, "SLURM_PORT": str(three_free_ports())}
    subprocess.run([SLURM, "start", folder], check=True, env=env, timeout=60, stdout=subprocess.DEVNULL)
    yield folder
    subprocess.run([SLURM, "stop", folder], check=True, env=env, timeout=60)


@pytest.fixture
def slurm(slurm_of_two_nodes, monkeypatch):
    """Slurm's commands find the cluster of the tests."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_of_two_nodes / "slurm.conf"))
    return slurm_of_two_nodes


def three_free_ports():
    """The first of three neighbours at which nobody listens."""
    for first in range(20017, 30000, 3):
        try:
            for port in range(first, first + 3):
                with socket.socket() as taken:
                    taken.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")
