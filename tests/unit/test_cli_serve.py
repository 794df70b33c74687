"""What `connector serve` asks of the system (`connector.cli.serve`)."""

import resource

import pytest

from connector.cli import serve


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        ((1024, 4096), (4096, 4096)),
        ((1024, resource.RLIM_INFINITY), (serve.FILES, resource.RLIM_INFINITY)),
        ((1024, 1 << 20), (serve.FILES, 1 << 20)),
        ((4096, 4096), None),
        ((1 << 20, 1 << 20), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_a_node_takes_as_many_open_files_as_it_may_have(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], asked: tuple[int, int] | None
) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: calls.append(wanted))
    serve.take_open_files()
    assert calls == ([] if asked is None else [asked])
