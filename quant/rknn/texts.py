"""What an .rknn says of itself in words, and writing another custom string over its own."""

from __future__ import annotations

from quant.rknn.file import RknnFile, parse
from quant.rknn.parts import VERSION_6, VERSION_1004

# Root fields with text. Source: files of 2.2.0, 2.3.2 and 2.5.0 built with known options.
_TEXTS = {
    VERSION_6: {"compiler": 7, "platform": 8, "source": 9, "custom_string": 11, "batch": 14},
    VERSION_1004: {"compiler": 5, "platform": 6, "source": 7, "custom_string": 8},
}


def texts(file: RknnFile) -> dict[str, str]:
    """compiler, platform, source and custom_string; empty where the file has none.

    batch: of rknn_batch_size, `0` where none was asked for; only files of version 6 tell it.
    """
    return {name: file.root.text(index) for name, index in _TEXTS[file.version].items()}


def with_custom_string(data: bytes, text: str) -> bytes:
    """The file with `text` in place of its custom string. data: of an .rknn.

    No other byte changes, and it is the file that the SDK makes when it is given `text`: measured
    with 2.5.0 and 2.3.2, int8 and float16, on all platforms but rk2118 (whose files are never twice
    the same). Nothing in a file is a checksum over it. Raises ValueError where the lengths differ,
    and Fault on what is no .rknn.
    """
    file = parse(data, "model.rknn")
    start, length = file.root.vector(_TEXTS[file.version]["custom_string"])
    new = text.encode()
    if len(new) != length:
        raise ValueError(f"{len(new)} bytes over a custom string of {length}")
    return data[:start] + new + data[start + length :]
