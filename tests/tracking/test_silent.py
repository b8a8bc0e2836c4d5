from vitlab.tracking.silent import Silent


def test_it_takes_all_that_a_tracker_takes_and_keeps_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    silent = Silent()
    silent.log({"step": 1})
    silent.progress(1)
    silent.say("word")
    silent.finish("done", {}, 0)
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
