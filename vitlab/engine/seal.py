"""A checksum at the end of a file: a torn file and a flipped bit are seen before anything is read from it.

torch keeps checksums in its files and does not look at them (its reader is built without); readers of torch's format
pass over what stands behind its end.
"""

import hashlib
from pathlib import Path
from typing import IO, Any, cast

_MARK = b"vitlab sha256 "
_LENGTH = len(_MARK) + hashlib.sha256().digest_size


def seal(file: IO[bytes]) -> None:
    """Append the checksum of all that ``file``, open for reading and writing, holds."""
    file.seek(0)
    digest = hashlib.file_digest(cast(Any, file), "sha256").digest()
    file.seek(0, 2)
    file.write(_MARK + digest)


def refuse_damaged(path: Path) -> None:
    """Make sure that ``path`` holds what was sealed.

    Raises:
        ValueError: it does not.
        OSError: it cannot be read.
    """
    content = memoryview(path.read_bytes())
    body, mark = content[:-_LENGTH], content[-_LENGTH:]
    if bytes(mark) != _MARK + hashlib.sha256(body).digest():
        raise ValueError("it is not what was written: cut off or damaged")
