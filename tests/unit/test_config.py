"""The settings: each is read, checked and named where it is wrong; no secret is ever shown."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from connector.config import Config, load, parse, table
from connector.protocol.errors import Invalid
from connector.settings import CallbackSetting, secret

KEY = "correct horse battery"
ENV = {"KEY": KEY}
GOOD: dict[str, dict[str, Any]] = {
    "node": {"did": "did:web:node.example", "data": "/var/lib/node"},
    "public": {"url": "https://node.example"},
    "management": {"key": "env:KEY"},
}


def with_(key: str, value: object) -> dict[str, Any]:
    """The good settings with one changed."""
    section, _, name = key.partition(".")
    return GOOD | {section: {**GOOD.get(section, {}), name: value} if name else value}


def refusal(doc: dict[str, Any], env: dict[str, str] | None = None) -> Invalid:
    with pytest.raises(Invalid) as caught:
        parse(doc, ENV | (env or {}))
    assert KEY not in str(caught.value)
    return caught.value


def test_four_settings_are_enough() -> None:
    config = parse(GOOD, ENV)
    assert (config.did, config.data, config.url) == (
        "did:web:node.example",
        Path("/var/lib/node"),
        "https://node.example",
    )
    assert (config.host, config.management_host, config.identity) == ("127.0.0.1", "127.0.0.1", "did")
    assert (config.dsp_root, config.data_url) == ("https://node.example/api/v1/dsp", "https://node.example/public")
    assert not config.development


@pytest.mark.parametrize("key", ["node.did", "node.data", "public.url", "management.key"])
def test_each_of_them_is_required_and_named(key: str) -> None:
    section, _, name = key.partition(".")
    doc = GOOD | {section: {k: v for k, v in GOOD[section].items() if k != name}}
    error = refusal(doc)
    assert error.pointer == f"/{section}/{name}"
    assert key in error.reason


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("node.didd", "node.did"),
        ("public.prot", "public.port"),
        ("nodes.did", "node.did"),
        ("zzz.zzz", ""),
        ("node", ""),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_nearest_one(key: str, hint: str) -> None:
    error = refusal(with_(key, 1))
    assert error.reason.startswith(f"there is no setting {key}")
    assert f"did you mean {hint}?" in error.reason or not hint


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("node.did", 17),
        ("node.did", "provider"),
        ("node.did", "did:key:z6Mk"),
        ("node.data", ["/var"]),
        ("node.development", "perhaps"),
        ("node.log_level", "verbose"),
        ("node.log_format", "xml"),
        ("public.url", "node.example"),
        ("public.url", "ftp://node.example"),
        ("public.url", "http://node.example"),
        ("public.url", "https://"),
        ("public.url", "https://node.example/"),
        ("public.url", "https://node.example?x"),
        ("public.url", "https://node.example#x"),
        ("public.url", "https://user:pw@node.example"),
        ("public.url", "https://no de.example"),
        ("public.url", "https://node.example/<x>"),
        ("public.url", "https://[node.example"),
        ("public.url", "https://node.example:99999"),
        ("public.port", "http"),
        ("public.port", 65536),
        ("public.port", -1),
        ("public.port", True),
        ("public.port", 1.5),
        ("public.certificate", "chain.pem"),
        ("public.certificate_key", "key.pem"),
        ("management.port", 70000),
        ("management.path", "/"),
        ("management.path", "management"),
        ("management.path", "/management/"),
        ("management.key", KEY),
        ("management.key", 12345678),
        ("management.key", "env:NONE"),
        ("identity.kind", "oauth"),
        ("identity.scopes", [1]),
        ("identity.scopes", {}),
        ("identity.keep_credentials", -1),
        ("trusted_issuers", ["did:web:authority.example"]),
        ("trusted_issuers", {"did:web:authority.example": 1}),
        ("trusted_issuers", {"did:web:authority.example": [""]}),
        ("data_plane.token_lifetime", 0),
        ("directory", ["BPNL0"]),
        ("directory", {"BPNL0": 1}),
        ("directory", {"BPNL0": ""}),
        ("callbacks", {"uri": "http://x"}),
        ("callbacks", [{"uri": "http://x"}]),
        ("callbacks", [{"events": ["contract"]}]),
        ("callbacks", [{"uri": "http://x", "events": "contract"}]),
        ("callbacks", [{"uri": "http://x", "events": [1]}]),
        ("callbacks", [{"uri": 1, "events": ["contract"]}]),
        ("callbacks", [{"uri": "http://x", "events": ["contract"], "secret": "s"}]),
        ("callbacks", ["http://x"]),
    ],
)
def test_a_bad_value_is_refused_with_its_place(key: str, value: object) -> None:
    error = refusal(with_(key, value))
    place = "/" + key.replace(".", "/")
    assert error.pointer.startswith(place.removesuffix("_key") if key.startswith("public.cert") else place)


def test_a_mock_identity_does_not_leave_the_machine() -> None:
    mock = with_("node.did", "provider") | {"identity": {"kind": "mock"}}
    assert parse(mock, ENV).identity == "mock"
    for section in ("public", "management"):
        open_ = mock | {section: {**GOOD[section], "host": "0.0.0.0"}}  # noqa: S104 - what must be refused
        assert refusal(open_).pointer == "/identity/kind"


DCP: dict[str, dict[str, Any]] = {
    "identity": {"kind": "dcp"},
    "trusted_issuers": {"did:web:authority.example": ["MembershipCredential", "BpnCredential"]},
}


def test_credentials_are_asked_for_as_catena_x_wants_it() -> None:
    config = parse(GOOD | DCP, ENV)
    assert config.trusted_issuers == {"did:web:authority.example": ("MembershipCredential", "BpnCredential")}
    assert [scope.split(":")[1] for scope in config.scopes] == [
        "MembershipCredential",
        "BpnCredential",
        "DataExchangeGovernanceCredential",
    ]
    assert (config.keep_credentials, config.dcp_url) == (300, "https://node.example/dcp")


def test_with_credentials_somebody_is_trusted_and_something_is_asked_for() -> None:
    assert refusal(GOOD | {"identity": {"kind": "dcp"}}).pointer == "/trusted_issuers"
    assert refusal(GOOD | DCP | {"identity": {"kind": "dcp", "scopes": []}}).pointer == "/identity/scopes"
    assert refusal(GOOD | DCP | {"node": GOOD["node"] | {"did": "provider"}}).pointer == "/node/did"


def test_trust_and_scopes_come_from_the_environment_too() -> None:
    env = {
        "CONNECTOR_TRUSTED_ISSUERS": "did:web:a=*, did:web:b%3A80=MembershipCredential+BpnCredential",
        "CONNECTOR_IDENTITY_SCOPES": "alias:A:read, alias:B",
    }
    config = parse(GOOD | DCP, ENV | env)
    assert config.trusted_issuers == {
        "did:web:a": ("*",),
        "did:web:b%3A80": ("MembershipCredential", "BpnCredential"),
    }
    assert config.scopes == ("alias:A:read", "alias:B")


def test_plain_http_is_for_development() -> None:
    doc = with_("node.development", value=True) | {"public": {"url": "http://localhost:8282"}}
    assert parse(doc, ENV).url == "http://localhost:8282"


def test_the_environment_wins() -> None:
    env = {
        "CONNECTOR_PUBLIC_PORT": "9000",
        "CONNECTOR_NODE_DEVELOPMENT": "yes",
        "CONNECTOR_DIRECTORY": "BPNL1=did:web:a, BPNL2=did:web:b%3A80",
        "CONNECTOR_MANAGEMENT_KEY": "env:OTHER",
        "OTHER": "another key",
    }
    config = parse(with_("public.port", 8000), ENV | env)
    assert (config.port, config.development, config.management_key) == (9000, True, "another key")
    assert config.directory == {"BPNL1": "did:web:a", "BPNL2": "did:web:b%3A80"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("CONNECTOR_PUBLIC_PORT", "many"), ("CONNECTOR_DIRECTORY", "BPNL1"), ("CONNECTOR_CALLBACKS", "http://x")],
)
def test_the_environment_is_checked_as_well(name: str, value: str) -> None:
    assert refusal(GOOD, {name: value}).pointer.startswith("/")


def test_callbacks_are_read() -> None:
    rows = [{"uri": "http://erp", "events": ["contract.negotiation", "transfer"], "auth_key": "X", "auth_code_id": "s"}]
    (callback,) = parse(with_("callbacks", rows), ENV).callbacks
    assert callback == CallbackSetting(
        uri="http://erp", events=("contract.negotiation", "transfer"), auth_key="X", auth_code_id="s"
    )


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        '[node]\ndid = "did:web:node.example"\ndata = "data"\n[public]\nurl = "https://node.example"\n'
        '[management]\nkey = "env:KEY"\n[directory]\nBPNL1 = "did:web:a"\n',
        encoding="utf-8",
    )
    assert load(file, ENV).directory == {"BPNL1": "did:web:a"}


@pytest.mark.parametrize(
    ("content", "told"), [(None, "cannot read"), (b"[node", "is not TOML"), (b"\xff\xfe", "is not UTF-8")]
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "node.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Invalid, match=told) as caught:
        load(file, ENV)
    assert str(file) in caught.value.reason


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n", encoding="utf-8")
    assert secret(f"file:{file}", {}, "") == KEY


def test_an_unreadable_secret_is_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY.encode() + b"\xff")
    for reference in (f"file:{file}", f"file:{file}.gone", "env:NONE", KEY, None, 7):
        with pytest.raises(Invalid) as caught:
            secret(reference, {}, "/management/key")
        assert KEY not in f"{caught.value} {caught.value.value} {caught.value.__cause__}"
        assert caught.value.pointer == "/management/key"


@pytest.mark.parametrize(("content", "told"), [(None, "No such file"), (b"\xff", "not UTF-8")])
def test_an_unreadable_secret_names_its_file(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Invalid, match=told) as caught:
        secret(f"file:{file}", {}, "/management/key")
    assert str(file) in caught.value.reason


def test_a_short_key_is_refused_without_showing_it() -> None:
    error = refusal(with_("management.key", "env:SHORT"), {"SHORT": "geheim"})
    assert "geheim" not in f"{error} {error.value}"


def test_no_secret_is_shown_with_the_settings() -> None:
    config = parse(GOOD, ENV)
    assert KEY not in repr(config)
    assert KEY not in repr(replace(config, port=1))
    assert config.management_key == KEY


def test_every_setting_is_in_the_table() -> None:
    shown = {key: (default, text) for key, default, text in table()}
    assert len(shown) == len(fields(Config))
    assert shown["node.did"][0] == shown["management.key"][0] == "required"
    assert shown["public.port"][0] == "8282"
    assert all(text.endswith(".") for _, text in shown.values())


@pytest.mark.parametrize("url", ["sqlite", "postgresql://me@db.example/node", "postgres:///node?host=/run/pg"])
def test_the_store_is_a_file_or_a_postgresql_database(url: str) -> None:
    assert parse(with_("store.url", url), ENV).database == url


@pytest.mark.parametrize("url", ["mysql://me@db.example/node", "", "env:OTHER"])
def test_another_store_is_refused(url: str) -> None:
    assert refusal(with_("store.url", url), {"OTHER": "sqlite:///hidden"}).pointer == "/store/url"


@pytest.mark.parametrize("url", ["postgresql://me:hidden@db.example/node", "postgresql:///node?user=x&password=hidden"])
def test_a_store_url_with_a_password_stands_elsewhere(url: str, tmp_path: Path) -> None:
    refused = refusal(with_("store.url", url))
    assert "give it by reference" in refused.reason
    assert "hidden" not in f"{refused}{refused.value}"
    (tmp_path / "url").write_text(url)
    for config in (
        parse(with_("store.url", f"file:{tmp_path / 'url'}"), ENV),
        parse(GOOD, ENV | {"CONNECTOR_STORE_URL": "env:DATABASE", "DATABASE": url}),
    ):
        assert config.database == url
        assert "hidden" not in repr(config)
