"""`connector schema`: what scripts rely on, which is output and exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click
import pytest
from click.testing import CliRunner, Result

from connector.cli import main
from connector.cli import schema as module
from connector.demo_data import FOOTPRINT_SEMANTIC_ID, footprint
from tests.unit.samm_world import A, model

BODY = """
    :A a samm:Aspect ; samm:properties ( :n [ samm:property :u ; samm:optional true ] ) .
    :n a samm:Property ; samm:characteristic [ a samm:Characteristic ; samm:dataType xsd:int ] .
    :u a samm:Property ; samm:characteristic samm-c:ResourcePath .
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model(tmp_path, BODY)


def run(command: str, *options: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["schema", command, *map(str, options)], input=given)


def payload(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "payload.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize("part", ["", "A.ttl"])
def test_export_prints_the_schema_of_a_folder_or_a_file(folder: Path, part: str) -> None:
    done = run("export", "--model", folder / part, "--aspect", A)
    assert done.exit_code == 0
    schema = json.loads(done.stdout)
    assert schema["required"] == ["n"]
    assert json.loads(run("export", "--model", folder, "--aspect", A, "--json").stdout) == schema


def test_a_valid_payload_ends_with_0(folder: Path, tmp_path: Path) -> None:
    done = run("validate", "--model", folder, "--aspect", A, payload(tmp_path, '{"n": 1.5, "u": "a b"}'))
    assert (done.exit_code, done.stdout) == (0, f"valid: {A}\n")


def test_an_invalid_payload_ends_with_1_and_the_places_and_reasons(folder: Path, tmp_path: Path) -> None:
    file = payload(tmp_path, '{"n": "x", "u": 1}')
    done = run("validate", "--model", folder, "--aspect", A, file)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == ["/n: 'x' is not a number", "/u: 1 is not a text"]
    told = json.loads(run("validate", "--model", folder, "--aspect", A, file, "--json").stdout)
    assert told["faults"][0] == {"pointer": "/n", "message": "'x' is not a number"}
    assert told["valid"] is False


@pytest.mark.parametrize(
    ("options", "content", "code"),
    [
        (["--mode", "strict"], '{"n": 1.5}', 1),
        (["--mode", "strict", "--rule", "no-integers"], '{"n": 1.5}', 0),
        (["--rule", "closed"], '{"n": 1, "more": 1}', 1),
        (["--rule", "formats"], '{"n": 1, "u": "no uri"}', 1),
        ([], '{"n": 1, "u": "no uri", "more": 1}', 0),
        (["--rule", "tea"], "{}", 2),
        (["--mode", "loose"], "{}", 2),
    ],
)
def test_mode_and_rules_change_the_verdict(
    folder: Path, tmp_path: Path, options: list[str], content: str, code: int
) -> None:
    done = run("validate", "--model", folder, "--aspect", A, *options, payload(tmp_path, content))
    assert done.exit_code == code


@pytest.mark.parametrize("content", ["{", "", "{'a': 1}", '{"n": NaN}', "[" * 100_000, b"\xff\xfe\xff"])
def test_what_is_not_json_is_a_usage_error(folder: Path, tmp_path: Path, content: str | bytes) -> None:
    done = run("validate", "--model", folder, "--aspect", A, payload(tmp_path, content))
    assert done.exit_code == 2
    assert "payload.json is not JSON" in done.output


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1.5e4299", "9" * 4300, "1e308", f"1{'0' * 400}.0"])
def test_a_number_is_judged_as_one_however_large_it_is(tmp_path: Path, number: str) -> None:
    folder = model(tmp_path, BODY.replace("xsd:int", "xsd:double"))
    asked = ("validate", "--model", folder, "--aspect", A)
    assert run(*asked, payload(tmp_path, f'{{"n": {number}}}')).exit_code == 0
    done = run(*asked, payload(tmp_path, f'{{"n": 1, "u": {number}}}'))
    assert (done.exit_code, done.output.startswith(f"/u: {'-' * number.startswith('-')}")) == (1, True)
    assert done.output.endswith(" is not a text\n")
    assert "null" not in done.output


@pytest.mark.parametrize("number", ["1e4300", "1e9999999999999999999", "9" * 4301, f"-{'9' * 5000}", "9" * 400 + ".5"])
def test_a_number_that_is_too_long_to_count_with_is_not_judged(folder: Path, tmp_path: Path, number: str) -> None:
    done = run("validate", "--model", folder, "--aspect", A, payload(tmp_path, f'{{"n": {number}}}'))
    assert done.exit_code == 2
    assert "a number has more than 4300 digits" in done.output
    assert "sys." not in done.output


@pytest.mark.parametrize(("content", "code"), [('{"n": 1, "n": "x"}', 1), ('{"n": "x", "n": 1}', 0)])
def test_a_member_that_stands_twice_is_judged_by_its_last_value(
    folder: Path, tmp_path: Path, content: str, code: int
) -> None:
    assert run("validate", "--model", folder, "--aspect", A, payload(tmp_path, content)).exit_code == code


@pytest.mark.parametrize("command", ["validate", "validate-batch"])
def test_an_answer_that_nobody_gets_is_no_verdict(folder: Path, tmp_path: Path, command: str) -> None:
    task = payload(tmp_path, '{"id": 1, "payload": {}}')  # as a payload it is not valid, as a task it is judged
    arguments = [sys.executable, "-m", "connector", "schema", command, "--model", str(folder), "--aspect", A, str(task)]

    def written_to(stdout: int, *before: str) -> tuple[int, str]:
        done = subprocess.run(  # noqa: S603 - our own program
            [*before, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
        )
        return done.returncode, done.stderr

    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb"), Path("/dev/full").open("wb") as full:  # noqa: PTH123 - a descriptor
        assert written_to(writer) == (141, "")
        said = "error: standard output cannot be written: No space left on device\n"
        assert written_to(full.fileno()) == (2, said)
    said = "error: standard output cannot be written: Bad file descriptor\n"
    assert written_to(subprocess.DEVNULL, "sh", "-c", '"$0" "$@" >&-') == (2, said)


@pytest.mark.parametrize("command", ["validate", "validate-batch"])
def test_what_cannot_be_read_is_no_verdict(folder: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> BinaryIO:
        raise failure

    monkeypatch.setattr(click, "open_file", failing)
    for failure in (PermissionError(13, "Permission denied"), RuntimeError("Was not able to determine binary stream")):
        done = run(command, "--model", folder, "--aspect", A, "-")
        assert (done.exit_code, done.stdout) == (2, "")
        assert f"- cannot be read: {failure}" in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_in_other_encodings_is_read(folder: Path, tmp_path: Path, encoding: str) -> None:
    assert (
        run("validate", "--model", folder, "--aspect", A, payload(tmp_path, '{"n": 1}'.encode(encoding))).exit_code == 0
    )


def test_model_that_cannot_be_resolved_is_a_usage_error_on_every_command(folder: Path, tmp_path: Path) -> None:
    for command, file in (("export", ()), ("validate", (payload(tmp_path, "{}"),)), ("validate-batch", ("-",))):
        for aspect in (f"{A}nother", "no urn"):
            done = run(command, "--model", folder, "--aspect", aspect, *file)
            assert (done.exit_code, done.stdout) == (2, "")
            assert "is not defined in the model" in done.stderr
    assert run("export", "--model", folder).exit_code == 2
    assert run("export", "--model", tmp_path / "gone", "--aspect", A).exit_code == 2


def lines(*documents: Any) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def test_a_batch_answers_each_line_in_order(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "batch.jsonl"
    file.write_bytes(
        lines({"id": "a", "payload": {"n": 1}}, {"id": 2, "payload": {}}) + b"\n" + lines({"id": None, "payload": 1})
    )
    done = run("validate-batch", "--model", folder, "--aspect", A, file)
    assert done.exit_code == 0
    assert list(map(json.loads, done.stdout.splitlines())) == [
        {"id": "a", "valid": True},
        {"id": 2, "valid": False},
        {"id": None, "valid": False},
    ]


def test_a_batch_comes_through_a_pipe_too(folder: Path) -> None:
    done = run("validate-batch", "--model", folder, "--aspect", A, "-", given=lines({"id": "ü", "payload": {"n": 1}}))
    assert json.loads(done.stdout) == {"id": "ü", "valid": True}


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"id": 1}', b'{"payload": 1}'])
def test_a_line_that_is_no_task_ends_the_batch_and_is_named(folder: Path, line: bytes) -> None:
    given = lines({"id": 1, "payload": {"n": 1}}) + line
    done = run("validate-batch", "--model", folder, "--aspect", A, "-", given=given)
    assert done.exit_code == 2
    assert json.loads(done.stdout.splitlines()[0]) == {"id": 1, "valid": True}
    assert "line 2" in done.stderr


def test_long_payloads_are_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAYLOAD", 10)
    done = run("validate", "--model", folder, "--aspect", A, payload(tmp_path, '{"n": 1000000}'))
    assert done.exit_code == 2
    assert "longer than 10 bytes" in done.output
    assert run("validate-batch", "--model", folder, "--aspect", A, "-", given=b"[" * 20).exit_code == 2


def test_without_a_model_the_delivered_ones_are_asked(tmp_path: Path) -> None:
    file = payload(tmp_path, json.dumps(footprint()))
    assert run("validate", "--aspect", FOOTPRINT_SEMANTIC_ID, file).exit_code == 0


def test_a_model_that_is_given_takes_the_place_of_the_delivered_ones(tmp_path: Path) -> None:
    _, _, namespace, rest = FOOTPRINT_SEMANTIC_ID.split(":")
    folder = model(tmp_path, "", namespace=namespace, version=rest.partition("#")[0])
    done = run("export", "--model", folder, "--aspect", FOOTPRINT_SEMANTIC_ID)
    assert done.exit_code == 2
    assert str(tmp_path) in done.stderr


def test_a_cache_folder_is_filled(folder: Path, tmp_path: Path) -> None:
    first = run("export", "--model", folder, "--aspect", A, "--cache", tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert run("export", "--model", folder, "--aspect", A, "--cache", tmp_path / "cache").stdout == first.stdout
