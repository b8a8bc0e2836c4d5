import csv
import io

from vitlab.comparison.tables import metric_text, show, write_csv

TABLE = {(4, 2): [0.900, 0.910, 0.920], (8, 2): [0.912, 0.923, 0.934]}


def test_the_table_has_a_line_for_each_setting_best_first(sweep):
    out = io.StringIO()
    comparison = sweep(TABLE)
    comparison.left_out.append(("7-broken", "it exploded"))
    show(comparison, ["a sentence"], out)
    lines = out.getvalue().splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert rows == [
        ["8", "92.30 ± 2.73 %", "3", "8 k", "40 k", "80"],  # 0.011 / sqrt(3) * 4.3027
        ["4", "91.00 ± 2.48 %", "3", "4 k", "20 k", "40"],
    ]
    assert lines[-2:] == ["left out 7-broken: it exploded", "a sentence"]


def test_one_seed_and_other_metrics_are_written_as_they_are(sweep):
    comparison = sweep({(4, 2): [0.9]}, metric="val_loss")
    assert metric_text(comparison, comparison.groups[0]) == "0.1"


def test_the_csv_has_a_line_for_each_run(sweep, tmp_path):
    write_csv(sweep(TABLE), tmp_path / "out.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [(row["model.depth"], row["seed"], row["val_accuracy"]) for row in rows][:2] == [
        ("8", "0", "0.912"),
        ("8", "1", "0.923"),
    ]
    assert len(rows) == 6
    assert list(rows[0])[:3] == ["run", "model.depth", "seed"]
