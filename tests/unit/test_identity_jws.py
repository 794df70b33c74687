import base64

import orjson
import pytest

from connector.identity.jws import MAX_CHARS, CompactJws, b64url, json_object, unb64url
from connector.protocol.errors import PeerError


def compact(header: object = None, payload: object = None, signature: bytes = b"s") -> str:
    parts = [{"alg": "ES256"} if header is None else header, {} if payload is None else payload]
    raw = [part if isinstance(part, bytes) else orjson.dumps(part) for part in parts]
    return ".".join(b64url(part) for part in [*raw, signature])


def test_a_token_is_taken_apart_without_a_key() -> None:
    jws = CompactJws.parse(compact({"alg": "ES256", "kid": "k"}, {"iss": "a"}, b"sig"))
    assert (jws.header, jws.payload, jws.signature) == ({"alg": "ES256", "kid": "k"}, {"iss": "a"}, b"sig")
    assert jws.signing_input == compact({"alg": "ES256", "kid": "k"}, {"iss": "a"}).rpartition(".")[0].encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "a.b",
        "a.b.c.d",
        "..",
        compact() + "=",
        compact(signature=b"s")[:-1] + "x",  # left-over bits: a second spelling of the same signature
        compact().replace(".", " .", 1),
        compact().replace(".", ".é", 1),
        compact(b"[]"),
        compact(payload=b'"text"'),
        compact(payload=b'{"iss": NaN}'),
        compact(payload=b'{"iss": "a", "iss": "b"}'),
        compact(payload=b'{"deep": {"x": 1, "x": 2}}'),
        compact(payload=b'{"iss": "\xff"}'),
        compact(payload=b'{"iss": "\\ud800"}'),
        compact(payload=b'{"a":' * 1000 + b"1" + b"}" * 1000),
        compact(payload={"long": "x" * MAX_CHARS}),
        compact({}),
        compact({"alg": 1}),
        compact({"alg": "ES256", "crit": ["b64"]}),
        compact({"alg": "ES256", "b64": False}),
    ],
)
def test_anything_but_a_plain_signed_jwt_is_refused(text: str) -> None:
    with pytest.raises(PeerError) as refusal:
        CompactJws.parse(text)
    assert refusal.value.status == 401


def test_base64url_has_one_spelling() -> None:
    assert unb64url(b64url(b"\xff\xfe\xfd\xfc")) == b"\xff\xfe\xfd\xfc"
    for spelling in ("__79_A==", "//79/A", "__79_B", "_", "__79 _A"):
        with pytest.raises(ValueError):  # noqa: PT011 - decoding has one error
            unb64url(spelling)
    assert base64.urlsafe_b64decode("__79_B==") == unb64url("__79_A")  # what the strictness is for


def test_json_object_reads_objects_only() -> None:
    assert json_object(b'{"a": {"b": [1, {"c": 2}]}}') == {"a": {"b": [1, {"c": 2}]}}
    with pytest.raises(ValueError, match="twice"):
        json_object(b'{"a": 1, "a": 1}')
    with pytest.raises(ValueError, match="object"):
        json_object(b"[]")
