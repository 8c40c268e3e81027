"""Programs that are no Python packages."""

from __future__ import annotations

import os
import shutil

import pytest

PACKAGES = {"promtool": "prometheus", "chromium": "chromium", "chromedriver": "chromium-driver"}  # Debian's


def tool(name: str) -> str:
    """Its path. Where it is missing the test is skipped; in CI it fails."""
    if found := shutil.which(name):
        return found
    why = f"{name} is not installed (Debian: apt-get install {PACKAGES[name]})"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
