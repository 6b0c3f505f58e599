"""Pictures of the pages, to be looked at: light and dark, 400 and 1,600 pixels wide.

    .venv/bin/python -m benchmarks.screenshots FOLDER PAGE.html ...

writes FOLDER/NAME-light-400.png and so on, and prints for each page its bytes, the milliseconds to
the first paint (the median of five loads) and until everything is drawn. It needs
Debian's chromium.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.browser import drive


def main(folder: Path, pages: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{'page':<28}{'bytes':>10}{'first paint ms':>16}{'drawn ms':>10}")
    for page in pages:
        name = page.parent.name if page.stem == "report" else page.stem
        script = [
            {"do": "screenshot", "scheme": scheme, "width": width,
             "file": str(folder / f"{name}-{scheme}-{width}.png")}
            for scheme in ("light", "dark")
            for width in (400, 1600)
        ]  # fmt: skip
        told = drive(page, [{"do": "paint"}, *script])
        paint = told[0]
        print(f"{name:<28}{page.stat().st_size:>10,}{paint['paint']:>16.0f}{paint['drawn']:>10.0f}")
        wide = {one["width"]: one["overflow"] for one in told[1:] if one["overflow"]}
        if wide:
            print(f"  wider than the window: {json.dumps(wide)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
