"""Keeps every test away from the developer's own W&B account, and from any server but the loopback."""

import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from wandb_server import KEY, WandbServer


@pytest.fixture(autouse=True)
def no_account_and_no_server(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No key, and an address where nobody listens."""
    _let_go_of_wandb()  # of earlier tests: WANDB_SERVICE would come back when the process that it names has ended
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("WANDB_", "_WANDB", "NETRC"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for kind in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{kind}_DIR", str(home / kind.lower()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # without listen(): connections are refused
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        yield
        _let_go_of_wandb()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is configured."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, key: None) -> Iterator[Any]:
    """A running stand-in for the W&B server, and a key for it."""
    with WandbServer() as running:
        monkeypatch.setenv("WANDB_BASE_URL", running.url)
        yield running
        _let_go_of_wandb()  # while there is somebody to talk to


def _let_go_of_wandb() -> None:
    if wandb := sys.modules.get("wandb"):
        wandb.finish()
        wandb.teardown()
