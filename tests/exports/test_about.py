import json


def test_it_goes_into_formats_of_text_and_comes_back(about):
    strings = about.as_strings()
    assert all(isinstance(value, str) for value in strings.values())
    assert strings["vitlab"] == "1.2.3"
    assert strings["num_heads"] == "3"
    assert json.loads(strings["mean"]) == [0.5, 0.4, 0.3]
    assert json.loads(strings["class_names"]) == list("abcde")
