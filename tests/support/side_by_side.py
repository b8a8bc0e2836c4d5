"""Tests in several processes (``-n``): those of a file stay together, for they share what was made once."""

import pytest

NEED_A_CLUSTER = ("test_distributed.py", "test_launch.py", "test_ray.py", "test_slurm.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One Slurm and one Ray serve all tests that need one, and so these run in one process."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return "cluster" if file.endswith(NEED_A_CLUSTER) else file

    return ByFile(config, log)
