import json
import re
import shutil
import subprocess

import pytest

from vitlab.comparison.report import write

TABLE = {(4, 2): [0.50, 0.52], (8, 2): [0.60, 0.63], (4, 4): [0.30, 0.32], (8, 4): [0.40, 0.42]}

# What a reader does with the page; what it looks like then is left in the title, which the browser prints.
READER = """
<script>
{
const told = {};
const names = () => [...document.querySelectorAll("#runs tbody tr")].map(row => row.cells[1].textContent);
const lines = id => document.querySelectorAll(`#${id} .scatterlayer .trace`).length;
const heads = [...document.querySelectorAll("#runs th button")];
told.columns = heads.map(head => head.textContent);
told.before = names();
heads.find(head => head.textContent === "parameters").click();
told.sorted = names();
heads.find(head => head.textContent === "parameters").click();
told.reversed = names();
told.lines = [lines("curves"), lines("parallel"), document.querySelectorAll("#effects .chart").length];
const mean = () => document.querySelector("#effects .chart").data[0].y.map(y => Math.round(100 * y) / 100);
told.effect = mean();
const boxes = [...document.querySelectorAll("#runs tbody input")];
boxes.filter(box => box.getAttribute("aria-label").includes("8-4-")).forEach(box => box.click());
told.linesWithout = [lines("curves"), lines("parallel")];
told.effectWithout = mean();
told.struck = document.querySelectorAll("tr.hidden").length;
document.getElementById("none").click();
told.linesOfNone = lines("curves");
document.getElementById("all").click();
told.linesOfAll = lines("curves");
document.getElementById("figure").value = "val/loss";
document.getElementById("figure").dispatchEvent(new Event("change"));
told.hover = document.getElementById("curves").data[0].hovertemplate;
const loaded = performance.getEntriesByType("resource").map(entry => entry.name);
told.requests = loaded.filter(name => !name.startsWith("data:"));
document.title = JSON.stringify(told);
}
</script>
"""


@pytest.fixture
def browser(tmp_path):
    """``browser(page)``: the page as a headless Chromium leaves it, and what its console said."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium on PATH")
    headless = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    offline = ["--host-resolver-rules=MAP * ~NOTFOUND"]

    def shown(page):
        done = subprocess.run(
            [
                *headless,
                "--enable-logging=stderr",
                *offline,
                "--dump-dom",
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return shown


@pytest.mark.browser
def test_in_a_browser_the_table_sorts_and_a_run_can_be_hidden(sweep, tmp_path, browser):
    page, *_ = write(sweep(TABLE), tmp_path / "out")
    page.write_text(page.read_text().replace("</body>", f"{READER}</body>"))
    dom, console = browser(page)
    assert console == []
    title = re.search(r"<title>(.*?)</title>", dom)[1]
    told = json.loads(title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert told["columns"][:4] == ["run", "model.depth", "model.patch_size", "seed"]
    assert told["before"][:2] == ["8-2-0", "8-2-1"]  # best first
    assert {name[0] for name in told["sorted"][:4]} == {"4"}
    assert {name[0] for name in told["reversed"][:4]} == {"8"}
    assert told["lines"] == [8, 8, 2]
    assert told["effect"] == [41.0, 51.25]  # of depth 4 and 8, over both patch sizes
    assert told["linesWithout"] == [6, 6]
    assert told["effectWithout"] == [51.0, 61.5]  # patch size 4 is out: depth 8 has it no more
    assert told["struck"] == 2
    assert (told["linesOfNone"], told["linesOfAll"]) == (0, 8)
    assert "depth=8 patch_size=2 seed=0" in told["hover"]
    assert told["requests"] == []


@pytest.mark.browser
def test_a_run_whose_words_are_script_harms_no_reader(make_run, tmp_path, browser):
    from vitlab.comparison.comparing import compare
    from vitlab.comparison.loading import load

    evil = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    for number in range(2):
        make_run(f"{number}", 0.5, **{"model.name": evil * (1 + number), "seed": evil})
    page, *_ = write(compare(load([tmp_path / "sweep"])), tmp_path / "out")
    dom, console = browser(page)
    assert console == []
    assert "<title>2 runs by val_accuracy</title>" in dom
    assert 'data-ready="yes"' in dom


@pytest.mark.slow
def test_a_real_sweep_is_compared_from_its_folder(command, quick, tmp_path):
    swept = command("train", "-m", "model.depth=1,2", "seed=0,1", "trainer.max_steps=3", *quick[1:])
    assert swept.returncode == 0, swept.stderr
    (folder,) = (tmp_path / "multirun").glob("*/*")
    assert f"python -m vitlab.compare {folder.relative_to(tmp_path)}" in swept.stdout
    done = command("compare", str(folder.relative_to(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert re.search(r"│ +[12] │ +[\d.]+ ± [\d.]+ % │ +2 │", done.stdout)
    assert "2 seeds, paired" in done.stdout
    assert {path.name for path in (folder / "comparison").iterdir()} == {
        *("comparison.html", "comparison.csv", "curves.png", "effects.png", "costs.png")
    }
    again = command("compare", str(folder), "metric=val/loss", f"output={tmp_path / 'x=y'}", "interval=bootstrap")
    assert again.returncode == 0, again.stderr
    assert "of val/loss" in again.stdout
    assert (tmp_path / "x=y" / "comparison.html").exists()
    one = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] == "0")
    assert command("compare", str(one[0])).returncode == 0  # a name with signs of equality


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "vitlab: nowhere: there is no such folder"),
        (["."], 1, "vitlab: .: there is no finished run to compare"),
        ([".", "interval=boot"], 1, "vitlab: interval=boot is not one of t, bootstrap"),
        ([], 2, "the following arguments are required: FOLDER"),
        ([".", "--metrik=x"], 2, "unrecognized arguments: --metrik=x"),
    ],
)
def test_what_cannot_be_compared_is_one_message(command, arguments, code, message):
    done = command("compare", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_there_without_torch(cold_command):
    done = cold_command("compare", "--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    assert "--diff" in done.stdout
    assert not re.search(r"\| +(torch|matplotlib|plotly)$", done.stderr, re.M)
