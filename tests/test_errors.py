import pickle

from vitlab.errors import Interrupted, VitlabError, did_you_mean, first_line, printable


def test_the_nearest_legal_names_are_offered():
    assert did_you_mean("dept", ["depth", "num_heads"]) == "; did you mean depth?"


def test_nothing_is_offered_when_nothing_is_near():
    assert did_you_mean("xyz", ["depth", "num_heads"]) == ""


def test_an_interruption_is_not_swallowed_by_except_exception():
    assert not issubclass(Interrupted, Exception)
    assert Interrupted(15).signum == 15


def test_errors_survive_pickling():
    assert str(pickle.loads(pickle.dumps(VitlabError("model.depth=0")))) == "model.depth=0"
    assert pickle.loads(pickle.dumps(Interrupted(2))).signum == 2


def test_the_first_line_of_an_error_is_short_and_never_empty():
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"
    assert first_line(ValueError(" \n")) == "ValueError"
    assert len(first_line(ValueError("x" * 1000))) == 200


def test_what_would_move_a_cursor_is_written_out():
    assert printable("Zürich 猫") == "Zürich 猫"
    assert printable("\x1b]0;a\x07\n\udc80") == r"\x1b]0;a\x07\n\udc80"
