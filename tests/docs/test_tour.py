"""The notebook runs from top to bottom."""

import json

import nbformat
import pytest
from nbclient import NotebookClient
from pages import TOP

pytestmark = pytest.mark.slow
TOUR = TOP / "docs/tour.ipynb"


@pytest.mark.filterwarnings("default")  # of the kernel's own libraries
def test_every_cell_of_the_tour_runs(bench, environment, tmp_path, monkeypatch):
    bench(tmp_path / "lab")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(TOUR, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path / "lab")}}).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


def test_it_is_committed_without_outputs():
    for cell in json.loads(TOUR.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
