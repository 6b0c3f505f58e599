"""pip's configuration, told to uv, which does not read it. Standard library only."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Mapping

# pip's option -> uv's environment variable.
# https://pip.pypa.io/en/stable/cli/pip_install and https://docs.astral.sh/uv/reference/environment
_UV_NAME = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "proxy": "HTTPS_PROXY",
}


def read(python: str) -> dict[str, str]:
    """Option -> value, as `pip config list` of that interpreter tells; empty where pip is absent.

    The environment wins over files, and an install section over the global one, as in pip.
    """
    told = subprocess.run(
        [python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    ranked: dict[str, tuple[int, str]] = {}
    for line in told.stdout.splitlines():
        key, separator, quoted = line.partition("=")
        if not separator:
            continue
        section, _, option = key.rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section, -1)
        if rank >= ranked.get(option, (-1, ""))[0]:
            ranked[option] = (rank, str(ast.literal_eval(quoted)))
    return {option: value for option, (rank, value) in ranked.items() if rank >= 0}


def uv_environment(options: Mapping[str, str]) -> dict[str, str]:
    """Environment that makes uv look where pip looks.

    options: as `read` gives them. The variables that are set already are left alone.
    """
    told = {
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # pip weighs all indexes alike
        "UV_SYSTEM_CERTS": "1",  # pip has used the system's certificates since 24.2
        "UV_NO_PROGRESS": "",
    }
    for option, value in options.items():
        if option in _UV_NAME:
            told[_UV_NAME[option]] = " ".join(value.split())
    if options.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        told["UV_NO_INDEX"] = "1"
    if " " in told.get("UV_FIND_LINKS", ""):
        told["UV_FIND_LINKS"] = ",".join(told["UV_FIND_LINKS"].split())
    return {name: value for name, value in told.items() if value and name not in os.environ}
