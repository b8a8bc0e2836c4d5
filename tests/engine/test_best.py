from vitlab.engine.best import Best


def test_any_validation_beats_none():
    assert Best().accuracy < 0.0
    assert Best().step == 0
