import logging
import warnings

import pytest

from vitlab.exports.quiet import quietly


def test_warnings_and_log_lines_are_held_back_only_inside(caplog):
    with quietly():
        warnings.warn("inside", stacklevel=1)
        logging.getLogger("a.library").warning("inside")
    logging.getLogger("a.library").warning("outside")
    assert [record.message for record in caplog.records] == ["outside"]
    with pytest.warns(UserWarning, match="outside"):
        warnings.warn("outside", stacklevel=1)


def test_errors_are_still_told_and_an_exception_brings_all_back(caplog):
    def fail():
        with quietly():
            logging.getLogger("a.library").error("broken")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    logging.getLogger("a.library").warning("after")
    assert [record.message for record in caplog.records] == ["broken", "after"]
