"""uv looks where pip looks."""

from __future__ import annotations

import sys

import pytest

from pipelines.run.toolchain.pip_config import read, uv_environment


@pytest.fixture(autouse=True)
def no_uv_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "UV_DEFAULT_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "SSL_CERT_FILE",
        "UV_NO_INDEX",
        "UV_INSECURE_HOST",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("pip", "name", "value"),
    [
        ({"index-url": "https://a/index"}, "UV_DEFAULT_INDEX", "https://a/index"),
        ({"extra-index-url": "https://a\nhttps://b"}, "UV_EXTRA_INDEX_URL", "https://a https://b"),
        ({"find-links": "/w /x"}, "UV_FIND_LINKS", "/w,/x"),
        ({"cert": "/c.pem"}, "SSL_CERT_FILE", "/c.pem"),
        ({"trusted-host": "a"}, "UV_INSECURE_HOST", "a"),
        ({"no-index": "true"}, "UV_NO_INDEX", "1"),
    ],
)
def test_options(pip: dict[str, str], name: str, value: str) -> None:
    assert uv_environment(pip)[name] == value


def test_what_is_set_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_FIND_LINKS", "/mine")
    assert "UV_FIND_LINKS" not in uv_environment({"find-links": "/pips"})


def test_reads_pips_own_listing(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/from/environment")
    assert read(sys.executable)["find-links"] == "/from/environment"
