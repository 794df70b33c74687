"""`connector policy explain`: what may stand for a credential, and what may not."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connector.cli import main
from connector.cli.connection import KEY_VARIABLE
from connector.cli.policy import _credential

JWT = f"eyJhbGciOiJFUzI1NiJ9.{'e30' * 200}.c2ln"  # longer than a file's name may be
MEMBERSHIP = {"type": ["VerifiableCredential", "MembershipCredential"]}


@pytest.mark.parametrize(
    ("content", "read"),
    [(json.dumps(MEMBERSHIP), MEMBERSHIP), (f"\n {json.dumps(MEMBERSHIP)}\n", MEMBERSHIP), (f"{JWT}\n", JWT)],
    ids=["JSON", "JSON between blanks", "JWT"],
)
def test_a_file_holds_json_or_a_jwt(tmp_path: Path, content: str, read: object) -> None:
    file = tmp_path / "credential"
    file.write_text(content, encoding="utf-8")
    assert _credential(str(file)) == read


@pytest.mark.parametrize("text", ["MembershipCredential", "https://w3id.org/catenax/credentials/BpnCredential", JWT])
def test_a_type_or_a_jwt_stands_for_itself(text: str) -> None:
    assert _credential(text) == text


def explained(credential: str) -> Result:
    arguments = ["policy", "explain", "open", "--for", "did:web:a.example", "--credential", credential]
    return CliRunner().invoke(main, arguments, env={KEY_VARIABLE: "a-good-long-key"})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"MembershipCredential", "does not hold a credential: a JSON object, or a JWT"),
        (b"", "does not hold a credential"),
        (b"[]", "does not hold a credential"),
        (b"a.b.c", "does not hold a credential"),
        (b"\xff\xfe{", "does not hold a credential"),
        (b"{", "is not JSON"),
    ],
)
def test_a_file_with_anything_else_is_a_usage_error(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "credential"
    file.write_bytes(content)
    done = explained(str(file))
    assert done.exit_code == 2
    assert told in done.output
    assert str(file) in done.output


@pytest.mark.parametrize("text", ["./membership.json", "membership.jwt", "two words", ""])
def test_a_file_that_is_not_there_is_not_taken_for_a_type(text: str) -> None:
    done = explained(text)
    assert done.exit_code == 2
    assert "is no file, and no name of a credential's type" in done.output
