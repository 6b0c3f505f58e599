"""Runs in the toolchain `browser`: opens pages offline, one after the other, until stdin ends.

stdin: a line {page, script} each, where script is a list of {do, ...}; stdout: a line, the list of
what each saw, or of a failure the text. Whatever the page asks of a network, and whatever its
scripts say on the console, is one.

    run         {code}: JavaScript, its value as `value`
    click       {at}: a selector; fill: {at, text}
    screenshot  {file, width, scheme}; overflow: pixels by which the page is wider than the window
    paint       first paint and all drawn, the median of five loads, in milliseconds
    print       {file}: as PDF
"""

from __future__ import annotations

import json
import statistics
import sys
import traceback
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

_OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
_PAINT = """() => new Promise((done) => {
    const painted = () => performance.getEntriesByName("first-contentful-paint")[0];
    let drawn = null;
    const look = () => {
        const isDrawn = document.documentElement.dataset.drawn;
        if (isDrawn || !document.getElementById("data")) drawn ??= performance.now();
        if (drawn && painted()) done({paint: painted().startTime, drawn});
        else setTimeout(look, 5);
    };
    look();
})"""


def main(chromium: str) -> None:
    with sync_playwright() as playwright:
        # As root chromium has no sandbox; the pages are the tests' own.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        # One tab for all: a new user of the browser takes 0.5 s, and the pages store nothing.
        page = browser.new_context(offline=True).new_page()
        faults = _heard(page)
        for line in sys.stdin:
            order = json.loads(line)
            url = Path(order["page"]).resolve().as_uri()
            print(json.dumps(_answer(page, faults, url, order["script"])), flush=True)
        browser.close()


def _heard(page: Page) -> list[str]:
    """Faults of whatever is open in it, as they come."""
    faults: list[str] = []
    page.on("console", lambda said: faults.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("request", lambda asked: faults.extend(_outside(asked.url)))
    return faults


def _answer(
    page: Page, faults: list[str], url: str, script: list[dict[str, Any]]
) -> list[Any] | str:
    try:
        page.goto("about:blank")  # what the page before still says is not of this one
        faults.clear()
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 1600, "height": 1000})
        _open(page, url)
        seen = [_do(page, url, one) for one in script]
        return "\n".join(faults) or seen
    except Exception:
        return traceback.format_exc()


def _outside(url: str) -> list[str]:
    return [] if url.startswith(("file:", "data:")) else [f"asks for {url}"]


def _open(page: Page, url: str) -> None:
    page.goto(url)
    if page.locator("#data").count():
        page.wait_for_function("document.documentElement.dataset.drawn")


def _do(page: Page, url: str, one: dict[str, Any]) -> dict[str, Any]:
    what = one["do"]
    if what == "run":
        return {"value": page.evaluate(one["code"])}
    if what == "click":
        page.click(one["at"])
    elif what == "fill":
        page.fill(one["at"], one["text"])
    elif what == "screenshot":
        page.emulate_media(color_scheme=one["scheme"])
        page.set_viewport_size({"width": one["width"], "height": 1000})
        _open(page, url)
        page.screenshot(path=one["file"], full_page=True)
        return {"width": one["width"], "overflow": page.evaluate(_OVERFLOW)}
    elif what == "paint":
        return _paint(page, url)
    elif what == "print":
        page.pdf(path=one["file"], format="A4")
    else:
        raise ValueError(what)
    return {}


def _paint(page: Page, url: str) -> dict[str, Any]:
    loads = []
    for _ in range(5):
        page.goto(url)
        loads.append(page.evaluate(_PAINT))
    return {key: statistics.median(load[key] for load in loads) for key in ("paint", "drawn")}


if __name__ == "__main__":
    main(sys.argv[1])
