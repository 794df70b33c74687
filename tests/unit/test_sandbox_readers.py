"""The readers of one passport, without nodes."""

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from connector.client import Client
from connector.demo_data import passports
from connector.passport.audiences import Reading as Audience
from connector.passport.audiences import lattice
from connector.passport.disclosure import class_map
from connector.sandbox.participants import CELL_MAKER, Participant
from connector.sandbox.readers import READERS, Reader, Reading, flipped
from connector.sandbox.telling import NotHeldError, Telling


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.company.name)
def test_what_a_reader_is_to_see_is_what_the_lattice_gives_it(reader: Reader) -> None:
    offer = reader.offer("BPNL000VELMORA01")
    as_offered = Audience(
        offer.audience, offer.purpose, classes=None if offer.classes is None else frozenset(offer.classes)
    )
    battery = str(passports()[0]["metadata"]["passportIdentifier"])
    assert lattice().classes(as_offered, battery) == reader.sees


def test_nobody_sees_everything_and_no_two_see_the_same() -> None:
    assert len({reader.sees for reader in READERS}) == len(READERS)
    assert all(reader.sees < set(class_map().classes) for reader in READERS)


def test_a_flipped_bit_is_one_byte_and_its_place_must_be_there() -> None:
    assert flipped(b"charge 64 %", re.compile(rb"charge (\d)")) == b"charge 74 %"
    with pytest.raises(NotHeldError, match="not there"):
        flipped(b"charge 64 %", re.compile(rb"health (\d)"))


def _participant(name: str) -> Participant:
    return Participant(name, name, f"did:web:{name}.example", "BPNL000VELMORA01", "https://dsp", "https://api", "key")


async def _told(got: dict[str, Any]) -> Telling:
    """The chapter, with a maker that publishes and readers that all get `got`."""

    async def publish(_passport: object, offers: list[object]) -> dict[str, Any]:
        return {"offers": offers, "completeness": {"category": "EV", "date": "2026-11-22"}, "serial": "HVE78"}

    async def fetch(_provider: object, _serial: str) -> dict[str, Any]:
        return got

    client = cast("Client", SimpleNamespace(passports=SimpleNamespace(publish=publish, fetch=fetch)))
    names = [CELL_MAKER.name, *(reader.company.name for reader in READERS)]
    telling = Telling()
    chapter = Reading({name: _participant(name) for name in names}, dict.fromkeys(names, client), telling)
    await telling.chapter(chapter.tell)
    return telling


async def test_a_passport_that_its_reader_could_not_verify_breaks_the_story() -> None:
    failed = {"digest": {"ok": False, "detail": "the body was changed on the way"}}
    telling = await _told({"ok": False, "verification": failed, "report": {"checks": {}}, "bundle": {}})
    assert [step.what for step in telling.broken] == ["reads battery HVE78"]
    assert "the body was changed on the way" in telling.broken[0].notes[-1]


async def test_a_verdict_that_the_file_alone_does_not_bear_out_breaks_the_story() -> None:
    bundle = {
        "type": "BatteryPassportBundle",
        "credential": "not.a.credential~",
        "aspect": passports()[0],
        "aspectSignature": "none",
        "semanticId": "none",
        "audience": "none",
        "nonce": "none",
        "agreementId": "none",
        "fetchedAt": 0,
        "didDocument": {"id": "did:web:cell-maker.example"},
    }
    telling = await _told({"ok": True, "verification": {}, "report": {"checks": {}}, "bundle": bundle})
    assert "the file alone does not prove it" in telling.broken[0].notes[-1]
