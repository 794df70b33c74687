"""The nginx that streams are compared with buffers, leaves nothing outside its folder, and may be absent."""

from pathlib import Path

import pytest

from tests.bench.nginx import Unusable, configuration, nginx


def test_it_buffers_without_sendfile() -> None:
    lines = [line.strip() for line in configuration(Path("/made"), 8080, "127.0.0.1:9", "somebody people").splitlines()]
    assert {"proxy_buffering on;", "sendfile off;", "listen 127.0.0.1:8080;", "server 127.0.0.1:9;"} <= set(lines)
    assert not any("max_temp_file_size" in line or "proxy_buffers" in line for line in lines)  # as it is delivered


def test_all_that_it_writes_is_in_its_folder() -> None:
    text = configuration(Path("/made"), 8080, "127.0.0.1:9", "somebody people")
    places = [line.split()[1] for line in text.splitlines() if line.split()[:1] in (["pid"], ["error_log"])]
    places += [line.split()[1] for line in text.splitlines() if "_temp_path" in line]
    assert len(places) == 7
    assert all(place.startswith("/made/") for place in places)


def test_without_nginx_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unusable, match="nginx is not on PATH"), nginx("http://127.0.0.1:9"):
        pytest.fail("there is none")


def test_what_a_broken_nginx_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "nginx"
    broken.write_text("#!/bin/sh\necho 'bind() failed' >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unusable, match=r"nginx has ended with 1: bind\(\) failed"), nginx("http://127.0.0.1:9"):
        pytest.fail("it does not start")
