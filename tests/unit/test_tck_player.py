"""The script player of the conformance run: every case has its script, and a script is played as it is written."""

from connector.exchange.strategy import HOLD, Act, TransferView
from connector.policy.circumstances import Counterparty
from connector.policy.evaluate import Verdict
from connector.protocol.process import Role
from connector.protocol.transfer import Event, State
from tests.tck import kit, player, run

WITHOUT_ID = 1  # MET:01-01 asks for the versions


def never() -> Verdict:
    raise AssertionError("a script does not ask for a verdict")


def view(asset: str, event: Event, *, ours: bool = False) -> TransferView:
    return TransferView(
        role=Role.PROVIDER,
        state=State.REQUESTED,
        event=event,
        ours=ours,
        id="transfer-1",
        counterparty=Counterparty("TCK_PARTICIPANT", None, {}),
        agreement_id="agreement-1",
        asset_id=asset,
        format="HttpData-PULL",
        judge=never,
    )


def test_every_case_of_the_kit_has_an_id_of_its_own() -> None:
    keys = run.case_keys()
    assert len(keys) + WITHOUT_ID == kit.CASES
    assert len(set(keys.values())) == len(keys)


def test_the_id_of_a_case_says_which_case_it_is() -> None:
    keys = run.case_keys()
    assert keys["CN_01_02_DATASETID"] == "ACN0102"  # the kit's counter-offer has it built in
    assert keys["CN_C_03_06_DATASETID"] == "ACNC0306"
    assert keys["TP_02_05_AGREEMENTID"] == "ATP0205"
    assert keys["TP_C_01_05_AGREEMENTID"] == "ATPC0105"


def test_a_step_is_played_when_its_event_happens_and_not_before_the_kit_listens() -> None:
    decision = player.Transfers().decide(view("ATP0101", Event.REQUEST))
    assert (decision.act, decision.after_ms) == (Act.START, player.PAUSE_MS)


def test_our_own_message_is_another_event_than_the_peers() -> None:
    transfers = player.Transfers()
    assert transfers.decide(view("ATP0101", Event.START)) == HOLD
    assert transfers.decide(view("ATP0101", Event.START, ours=True)).act == Act.TERMINATE


def test_the_second_time_may_be_another_step() -> None:
    transfers = player.Transfers()
    acts = [transfers.decide(view("ATP0104", Event.START, ours=True)).act for _ in range(3)]
    assert acts == [Act.SUSPEND, Act.COMPLETE, Act.HOLD]


def test_what_the_script_does_not_mention_is_held() -> None:
    assert player.Transfers().decide(view("ATP0205", Event.REQUEST)) == HOLD
