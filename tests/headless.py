"""A page opened in a headless Chromium, without a network."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_WATCH = """<script>
window.wrong = [];
addEventListener("error", event => wrong.push(event.message));
addEventListener("securitypolicyviolation", event => wrong.push(event.violatedDirective));
</script>"""
_PROBE = """<pre id="probe"></pre><script>
const found = (() => {{ {script} }})();
document.getElementById("probe").textContent = JSON.stringify({{found, wrong}});
</script></body>"""


def chromium() -> str:
    """Where it is: as CHROMIUM says, or on the PATH; skips the test where there is none."""
    names = (os.environ.get("CHROMIUM"), *NAMES)
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no Chromium: CHROMIUM names none, and none of {', '.join(NAMES)} is found")
    return found


def opened(page: str, script: str, folder: Path, size: tuple[int, int] = (1200, 900)) -> Any:
    """What a script gives that runs in the page once it is there.

    Fails for an error in the page, for anything that it writes to the console, and where it reaches
    for the network.
    """
    path = folder / "page.html"
    assert page.count("<head>") == page.count("</body>") == 1
    probed = page.replace("<head>", f"<head>{_WATCH}")
    path.write_text(probed.replace("</body>", _PROBE.format(script=script)), encoding="utf-8")
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"),
        *(f"--window-size={size[0]},{size[1]}", f"--user-data-dir={folder / 'profile'}"),
        *("--virtual-time-budget=3000", "--dump-dom", path.as_uri()),
    )
    ran = subprocess.run(
        [chromium(), *options], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "CONSOLE" not in ran.stderr, ran.stderr
    (text,) = re.findall(r'<pre id="probe">(.*?)</pre>', ran.stdout, re.S)
    answer = json.loads(html.unescape(text))
    assert answer["wrong"] == []
    return answer["found"]
