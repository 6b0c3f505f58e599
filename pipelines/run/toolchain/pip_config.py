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


# Where they are set, pip installs elsewhere than into the environment that it runs in.
_ELSEWHERE = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
# They would change what the pins say; uv's other settings are the user's own.
_OTHER_PINS = ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT", "UV_NO_VERIFY_HASHES")


def install_environment() -> tuple[dict[str, str], list[str]]:
    """The environment for installing by the pins alone, and a sentence for each setting left out.

    PIP_REQUIRE_HASHES and UV_REQUIRE_HASHES stay: every pin has hashes.
    """
    dropped = [name for name in (*_ELSEWHERE, *_OTHER_PINS) if os.environ.get(name)]
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    told = [f"{name} is left out here: {_why(name)}" for name in dropped]
    return {**kept, "PIP_USER": "0"}, told  # `user = true` may stand in a file too


def _why(name: str) -> str:
    if name in _ELSEWHERE:
        return "packages go into an environment of their own"
    return "packages are what toolchains/*.txt say"


def uv_environment(options: Mapping[str, str]) -> dict[str, str]:
    """Environment that makes uv look where pip looks.

    options: as `read` gives them. The variables that are set already are left alone.
    """
    told = {
        # pip weighs all indexes alike, and a mirror may have few versions of a package. uv calls
        # that unsafe since any index could slip in a package of another one's name; here a file
        # must have one of its pin's hashes, whichever index it is from (--require-hashes).
        "UV_INDEX_STRATEGY": "unsafe-best-match",
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
