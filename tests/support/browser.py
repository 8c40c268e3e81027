"""A real browser, headless: Debian's chromium, driven by selenium; axe-core for accessibility."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import axe_core_python
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.support.tools import tool

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()


@contextmanager
def browser(wide: int = 1400, high: int = 1000) -> Iterator[Any]:
    options = Options()
    options.binary_location = tool("chromium")
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-gpu"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(tool("chromedriver")))
    try:
        size(driver, wide, high)
        yield driver
    finally:
        driver.quit()


def size(driver: Any, wide: int, high: int) -> None:
    """Of the page itself, as on a screen or a phone."""
    metrics = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": wide < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def scheme(driver: Any, name: str) -> None:
    """light or dark."""
    features = [{"name": "prefers-color-scheme", "value": name}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def complaints(driver: Any) -> list[str]:
    """What the browser's console was told, as errors, since it was last asked."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def violations(driver: Any) -> list[str]:
    """What axe finds: rule, and the first element that breaks it."""
    driver.execute_script(AXE)
    found = driver.execute_async_script("const done = arguments[arguments.length - 1]; axe.run().then(done)")
    assert len(found["passes"]) > 15, "it has looked at next to nothing"
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]
