import json

from vitlab.evaluation.report import write


def test_a_report_is_json_markdown_pictures_and_a_page_that_needs_nothing_else(found, tmp_path):
    write(found, tmp_path / "report", "the command")
    folder = tmp_path / "report"
    assert json.loads((folder / "evaluation.json").read_text()) == found
    markdown, page = (folder / "report.md").read_text(), (folder / "report.html").read_text()
    for text in (markdown, page):
        assert "test accuracy 80.00%" in text
        assert "the command" in text
    assert markdown.count("![") == 4
    assert all((folder / name).exists() for name in ("reliability.png", "robustness.png"))
    assert page.count("data:image/png;base64,") == 4
    assert "http://" not in page
    assert "https://" not in page


def test_names_of_classes_are_text_and_never_markup(found, tmp_path):
    found["classes"][0]["class"] = found["title"] = "<img src=x onerror=alert(1)>"
    write(found, tmp_path, "<b>command</b>")
    for name in ("report.html", "report.md"):
        text = (tmp_path / name).read_text()
        assert "<img src=x" not in text
    assert "<b>command" not in (tmp_path / "report.html").read_text()


def test_names_with_dollars_and_those_that_are_no_unicode_are_drawn_and_written(found, tmp_path):
    found["classes"][0]["class"], found["classes"][1]["class"], found["title"] = "$_x^$", r"{%\foo$", "\udcff$"
    write(found, tmp_path, "the command")
    assert "$_x^$ is hardest" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "report.html").exists()
