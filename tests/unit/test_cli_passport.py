"""`connector passport`: what works on files alone, and what is refused before a node is asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connector.cli import main
from connector.cli.passport import _for
from connector.client import template
from connector.client.offering import names_partners
from connector.demo_data import passports
from connector.identity.did import did_document
from tests.unit.passport_world import KEY, MAKER, OTHER, RECYCLER, bundle, passport


def run(*arguments: object) -> Result:
    environment = {"CONNECTOR_API_KEY": "k", "CONNECTOR_URL": "http://127.0.0.1:9/management"}
    return CliRunner().invoke(main, ["passport", *map(str, arguments)], env=environment)


def write(file: Path, doc: object) -> Path:
    file.write_text(json.dumps(doc), encoding="utf-8")
    return file


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return write(tmp_path / "passport.json", bundle(RECYCLER).to_json())


class TestVerify:
    def test_visible_fields_have_signer_time_and_key_and_hidden_groups_class_and_digest(self, kept: Path) -> None:
        done = run("verify", kept)
        assert done.exit_code == 0, done.output
        lines = done.output.splitlines()
        assert lines[-1] == "verified: credential, issuer, identifier, model, binding, aspect"
        composition = next(line for line in lines if line.startswith("/materials/composition"))
        assert "[restricted-model] signed 2026-" in composition
        assert f"by {MAKER} with {KEY.kid}" in composition
        hidden = [line.split() for line in lines if line.startswith("hidden")]
        assert {row[1] for row in hidden} == {"[conformity]", "[commercial.documents]", "[commercial.other]"}
        assert {len(row) for row in hidden} == {3}
        assert "test" not in "".join(line for line in lines if line.startswith("hidden")).lower()

    def test_one_flipped_byte_is_named(self, kept: Path) -> None:
        spoilt = kept.read_text().replace('"value": 23', '"value": 22')
        assert spoilt != kept.read_text()
        kept.write_text(spoilt)
        done = run("verify", kept)
        assert done.exit_code == 1
        assert "FAILED aspect" in done.output
        assert "/performance/dynamic/fullCycles/value" in done.output

    def test_keys_may_come_from_elsewhere(self, kept: Path, tmp_path: Path) -> None:
        assert f"issued by {MAKER}, by the word of this file" in run("verify", kept).output.splitlines()[1]
        right = write(tmp_path / "did.json", did_document(MAKER, [KEY]))
        done = run("verify", kept, "--key", right)
        assert (done.exit_code, done.output.splitlines()[1]) == (0, f"ok     issuer: issued by {MAKER}")
        wrong = write(tmp_path / "other.json", did_document("did:web:other.example", [OTHER]))
        done = run("verify", kept, "--key", wrong)
        assert done.exit_code == 1
        assert "has no key" in done.output
        assert done.output.splitlines()[-1] == "NOT verified: credential, binding, aspect"
        done = run("verify", kept, "--key", kept)
        assert done.exit_code == 2
        assert f"{kept} is no DID document" in done.output

    def test_json_is_the_same_report(self, kept: Path) -> None:
        doc = json.loads(run("verify", kept, "--json").output)
        assert doc["ok"]
        assert {row["class"] for row in doc["fields"]} == {"public-model", "restricted-model", "individual"}

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ('"chemistry": ', '"chemistry": "LFP", "chemistry": '),  # of which each reader may take another one
            ('"nonce": "', '"nonce": "\\ud800'),
            ('"value": 23', '"value": 9007199254740993'),
        ],
    )
    def test_a_file_that_can_be_read_in_two_ways_is_not_judged(self, kept: Path, before: str, after: str) -> None:
        spoilt = kept.read_text().replace(before, after, 1)
        assert spoilt != kept.read_text()
        other = kept.with_name("spoilt.json")
        other.write_text(spoilt)
        for arguments in (("verify", other), ("diff", kept, other)):
            done = run(*arguments)
            assert done.exit_code == 2
            assert f"{other} is not JSON that can be proven or compared" in done.output

    def test_what_is_no_bundle_is_refused(self, tmp_path: Path) -> None:
        done = run("verify", write(tmp_path / "x.json", passport()))
        assert done.exit_code == 1
        assert "not a passport bundle" in done.output
        (tmp_path / "y.json").write_text("{")
        assert run("verify", tmp_path / "y.json").exit_code == 2


class TestDiff:
    def test_two_files_bundles_or_aspects(self, kept: Path, tmp_path: Path) -> None:
        changed: dict[str, Any] = json.loads(json.dumps(bundle(RECYCLER).aspect))
        changed["performance"]["dynamic"]["fullCycles"]["value"] = 24
        after = write(tmp_path / "after.json", changed)
        assert json.loads(run("diff", kept, after, "--json").output) == [
            {
                "kind": "changed",
                "field": "/performance/dynamic/fullCycles/value",
                "before": 23,
                "after": 24,
                "class": "individual",
            }
        ]
        done = run("diff", kept, after)
        assert done.exit_code == 1
        assert "/performance/dynamic/fullCycles/value" in done.output
        done = run("diff", kept, kept)
        assert (done.exit_code, done.output) == (0, "no difference\n")

    @pytest.mark.parametrize("doc", [[1], {}, "x", {"type": "BatteryPassportBundle"}, {"a": 1}])
    def test_what_is_no_passport_is_compared_with_nothing(self, kept: Path, tmp_path: Path, doc: object) -> None:
        other = write(tmp_path / "other.json", doc)
        for files in ((kept, other), (other, kept)):
            done = run("diff", *files)
            assert done.exit_code == 2
            assert f"{other} holds no passport" in done.output


class TestShow:
    def test_a_reader_sees_the_newest_version_and_no_other(self) -> None:
        done = run("show", "urn:uuid:x", "--as", "public", "--version", "1")
        assert done.exit_code == 2
        assert "give --as or --version" in done.output


class TestPublish:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--for", "king=BPNL1"], "known are public, interest:dismantle"),
            (["--for", "interest:repair"], "who? No credential proves this audience"),
            (["--for", "partner:cx.circular.dpp:1"], "who?"),
            (["--for", "interest:recycle=BPNL1", "--policy", "p"], "use one of them"),
            (["--for", "interest:recycle", "--disclose", "public-model"], "--disclose is for partners"),
        ],
    )
    def test_a_reader_that_nobody_is_is_refused(self, tmp_path: Path, options: list[str], said: str) -> None:
        done = run("publish", write(tmp_path / "p.json", passports()[0]), *options)
        assert done.exit_code == 2
        assert said in done.output

    @pytest.mark.parametrize(
        ("text", "options", "access", "usage", "said"),
        [
            ("public", {}, "open", "open", "access open, usage open"),
            (
                "interest:recycle",
                {},
                "access-recycler",
                "passport-usage",
                "access access-recycler, usage passport-usage",
            ),
            (
                "authority:surveillance",
                {},
                "access-authority",
                "authority-usage",
                "access access-authority, usage authority-usage",
            ),
            ("interest:recycle=BPNL1,BPNL2", {}, "by-bpn", "by-bpn", ""),
            ("interest:recycle", {"policy": "ours"}, "ours", "ours", ""),
            ("interest:recycle", {"policy": "passport-usage", "access": "ours"}, "ours", "passport-usage", ""),
            ("interest:recycle", {"access": "ours"}, "ours", "passport-usage", "access ours, usage passport-usage"),
            ("interest:repair=BPNL1", {"access": "access-partners"}, "access-partners", "by-bpn", ""),
            ("interest:repair", {"policy": "open"}, "open", "open", ""),
        ],
    )
    def test_an_audience_gets_its_ready_terms_and_explicit_ones_win(
        self, text: str, options: dict[str, str], access: str, usage: str, said: str
    ) -> None:
        made, told = _for(text, (), options.get("policy"), options.get("access"))
        audience, _, purpose = text.partition("=")[0].partition(":")
        partners = [bpn for bpn in text.partition("=")[2].split(",") if bpn]

        def meant(name: str) -> object:
            return name if name == "ours" else template(name, partners if names_partners(name) else ())

        assert (made.audience, made.purpose) == (audience, purpose)
        assert (made.access, made.contract, told) == (meant(access), meant(usage), said)
