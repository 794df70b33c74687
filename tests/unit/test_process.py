"""What negotiation and transfer share: lost answers, repeats, refusals, crossings (`connector.protocol.process`)."""

import pytest

from connector.protocol.errors import Conflict, PeerError
from connector.protocol.negotiation import Event as NEvent
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.negotiation import State as N
from connector.protocol.process import REMEMBERED, Pending, Role
from connector.protocol.transfer import Event as TEvent
from connector.protocol.transfer import State as T
from connector.protocol.transfer import TransferProcess

C, P = Role.CONSUMER, Role.PROVIDER


def contract(us: Role, state: N | None = None, *pending: NEvent) -> NegotiationProcess:
    return NegotiationProcess(us, state, Pending(pending[0], "ours") if pending else None)


def moving(us: Role, state: T, *pending: TEvent) -> TransferProcess:
    return TransferProcess(us, state, Pending(pending[0], "ours") if pending else None)


class TestAnswers:
    def test_a_message_takes_effect_when_it_is_answered(self) -> None:
        sent = contract(C).send(NEvent.REQUEST, "m")
        assert (sent.state, sent.after_pending) == (None, N.REQUESTED)
        assert sent.answered("m", ok=True) == contract(C, N.REQUESTED)

    def test_a_refusal_changes_nothing(self) -> None:
        assert contract(C, N.OFFERED).send(NEvent.ACCEPT, "m").answered("m", ok=False) == contract(C, N.OFFERED)

    def test_the_answer_to_another_message_changes_nothing(self) -> None:
        sent = contract(C, N.OFFERED).send(NEvent.ACCEPT, "m")
        assert sent.answered("older", ok=True) is sent

    def test_an_answer_that_comes_twice_changes_nothing(self) -> None:
        done = contract(C).send(NEvent.REQUEST, "m").answered("m", ok=True)
        assert done.answered("m", ok=True) is done

    def test_nothing_is_after_nothing(self) -> None:
        assert contract(C, N.REQUESTED).after_pending is None


class TestSending:
    def test_one_message_at_a_time(self) -> None:
        with pytest.raises(Conflict, match="ACCEPT has no answer yet, REQUEST must wait"):
            contract(C, N.OFFERED, NEvent.ACCEPT).send(NEvent.REQUEST, "m")

    def test_a_termination_does_not_wait(self) -> None:
        assert contract(C, N.OFFERED, NEvent.ACCEPT).send(NEvent.TERMINATE, "m").pending == Pending(
            NEvent.TERMINATE, "m"
        )

    def test_a_second_termination_is_one_too_many(self) -> None:
        with pytest.raises(Conflict, match="TERMINATE is on its way already"):
            contract(C, N.OFFERED, NEvent.TERMINATE).send(NEvent.TERMINATE, "m")

    def test_a_contract_that_may_be_final_at_the_peer_is_not_terminated(self) -> None:
        with pytest.raises(Conflict, match="FINALIZE has no answer yet"):
            contract(P, N.VERIFIED, NEvent.FINALIZE).send(NEvent.TERMINATE, "m")

    def test_an_offer_in_place_of_an_offer_is_taken_but_not_sent(self) -> None:
        assert contract(C, N.OFFERED).receive(NEvent.OFFER, "theirs").state is N.OFFERED
        with pytest.raises(Conflict, match="OFFER is not possible in state OFFERED as provider"):
            contract(P, N.OFFERED).send(NEvent.OFFER, "m")


class TestLostAnswers:
    def test_a_message_that_is_legal_only_after_ours_proves_that_ours_arrived(self) -> None:
        after = contract(C, None, NEvent.REQUEST).receive(NEvent.AGREE, "theirs")
        assert (after.state, after.pending) == (N.AGREED, None)

    def test_the_first_offer_answers_our_request_even_though_offers_also_open_negotiations(self) -> None:
        assert contract(C, None, NEvent.REQUEST).proven_by(NEvent.OFFER) == contract(C, N.REQUESTED)

    def test_a_termination_before_the_first_answer_proves_that_the_request_arrived(self) -> None:
        assert contract(C, None, NEvent.REQUEST).receive(NEvent.TERMINATE, "theirs").state is N.TERMINATED

    def test_a_message_that_is_legal_either_way_proves_nothing(self) -> None:
        waiting = contract(C, N.AGREED, NEvent.VERIFY)
        assert waiting.proven_by(NEvent.TERMINATE) is waiting

    def test_a_message_that_is_illegal_either_way_proves_nothing(self) -> None:
        waiting = contract(C, N.OFFERED, NEvent.ACCEPT)
        assert waiting.proven_by(NEvent.FINALIZE) is waiting

    def test_without_a_pending_message_there_is_nothing_to_prove(self) -> None:
        idle = contract(C, N.AGREED)
        assert idle.proven_by(NEvent.FINALIZE) is idle


class TestRepeats:
    def test_a_repeat_changes_nothing(self) -> None:
        once = contract(P).receive(NEvent.REQUEST, "theirs")
        assert once.receive(NEvent.REQUEST, "theirs") is once

    def test_a_repeat_is_known_when_the_process_has_gone_on(self) -> None:
        later = contract(P).receive(NEvent.REQUEST, "theirs").send(NEvent.AGREE, "m").answered("m", ok=True)
        assert later.receive(NEvent.REQUEST, "theirs") is later

    def test_a_refused_message_is_not_remembered(self) -> None:
        with pytest.raises(PeerError):
            contract(C, N.REQUESTED).receive(NEvent.FINALIZE, "theirs")
        assert contract(C, N.VERIFIED).receive(NEvent.FINALIZE, "theirs").over

    def test_equal_bodies_are_two_messages_where_both_are_legal(self) -> None:
        paused = moving(P, T.STARTED).receive(TEvent.SUSPEND, "digest", content="digest")
        resumed = paused.send(TEvent.START, "m").answered("m", ok=True)
        assert resumed.receive(TEvent.SUSPEND, "digest", content="digest").state is T.SUSPENDED

    def test_equal_bodies_are_a_repeat_where_the_second_is_not_legal(self) -> None:
        paused = moving(P, T.STARTED).receive(TEvent.SUSPEND, "digest", content="digest")
        assert paused.receive(TEvent.SUSPEND, "digest", content="digest") is paused

    def test_a_step_said_again_under_a_new_id_is_a_repeat_while_our_next_message_has_no_answer(self) -> None:
        """EDC 0.14.1: our FINALIZE met a 409, and EDC had forgotten that its VERIFY was answered."""
        verified = contract(P, N.AGREED).receive(NEvent.VERIFY, "one", content="verify")
        answering = verified.send(NEvent.FINALIZE, "m")
        assert answering.receive(NEvent.VERIFY, "two", content="verify") is answering
        for process in (verified, answering.answered("m", ok=True)):
            with pytest.raises(PeerError, match="VERIFY from the consumer is not legal"):
                process.receive(NEvent.VERIFY, "two", content="verify")

    def test_the_same_step_with_another_content_is_no_repeat(self) -> None:
        agreed = contract(C, N.REQUESTED).receive(NEvent.AGREE, "one", content="these terms").send(NEvent.VERIFY, "m")
        with pytest.raises(PeerError, match="AGREE from the provider is not legal"):
            agreed.receive(NEvent.AGREE, "two", content="other terms")

    def test_only_the_newest_ids_are_remembered(self) -> None:
        process = moving(C, T.STARTED)
        for n in range(REMEMBERED + 5):
            process = process.receive(TEvent.START, f"m{n}")
        assert process.seen == tuple(f"m{n}" for n in range(5, REMEMBERED + 5))


class TestCrossing:
    @pytest.mark.parametrize("us", Role)
    def test_two_suspensions_leave_both_sides_suspended(self, us: Role) -> None:
        after = moving(us, T.STARTED, TEvent.SUSPEND).receive(TEvent.SUSPEND, "theirs")
        assert (after.state, after.pending) == (T.SUSPENDED, None)

    @pytest.mark.parametrize("us", Role)
    def test_two_terminations_leave_both_sides_terminated(self, us: Role) -> None:
        assert moving(us, T.STARTED, TEvent.TERMINATE).receive(TEvent.TERMINATE, "theirs").state is T.TERMINATED

    def test_finalize_does_not_overtake_our_termination(self) -> None:
        with pytest.raises(PeerError, match="too late") as refusal:
            contract(C, N.VERIFIED, NEvent.TERMINATE).receive(NEvent.FINALIZE, "theirs")
        assert refusal.value.status == 400

    def test_a_termination_takes_the_place_of_our_finalize(self) -> None:
        after = contract(P, N.VERIFIED, NEvent.FINALIZE).receive(NEvent.TERMINATE, "theirs")
        assert (after.state, after.pending) == (N.TERMINATED, None)

    def test_completion_counts_more_than_suspension(self) -> None:
        assert moving(C, T.STARTED, TEvent.SUSPEND).receive(TEvent.COMPLETE, "theirs").state is T.COMPLETED
        with pytest.raises(PeerError, match="must wait until COMPLETE") as refusal:
            moving(P, T.STARTED, TEvent.COMPLETE).receive(TEvent.SUSPEND, "theirs")
        assert refusal.value.status == 503

    def test_suspension_counts_more_than_a_new_start(self) -> None:
        assert moving(P, T.STARTED, TEvent.START).receive(TEvent.SUSPEND, "theirs").state is T.SUSPENDED
        with pytest.raises(PeerError, match="must wait until SUSPEND") as refusal:
            moving(C, T.STARTED, TEvent.SUSPEND).receive(TEvent.START, "theirs")
        assert refusal.value.status == 503

    def test_both_sides_may_resume_at_once(self) -> None:
        for us in Role:
            after = moving(us, T.SUSPENDED, TEvent.START).receive(TEvent.START, "theirs")
            assert (after.state, after.pending) == (T.STARTED, None)

    def test_an_acceptance_on_its_way_is_not_an_acceptance_of_the_next_offer(self) -> None:
        with pytest.raises(PeerError, match="OFFER must wait until ACCEPT") as refusal:
            contract(C, N.OFFERED, NEvent.ACCEPT).receive(NEvent.OFFER, "theirs")
        assert refusal.value.status == 503


class TestAbandoning:
    def test_a_process_that_was_never_answered_can_be_given_up(self) -> None:
        assert contract(C, None, NEvent.REQUEST).abandon() == contract(C, N.TERMINATED)

    def test_what_has_ended_stays_as_it_ended(self) -> None:
        assert contract(C, N.FINALIZED).abandon() == contract(C, N.FINALIZED)


class TestAwaited:
    @pytest.mark.parametrize(
        ("process", "events"),
        [
            (contract(P, N.REQUESTED), (NEvent.OFFER, NEvent.AGREE)),
            (contract(C, N.REQUESTED), ()),
            (contract(C, N.OFFERED), (NEvent.REQUEST, NEvent.ACCEPT)),
            (contract(P, N.OFFERED), ()),
            (contract(C, N.OFFERED, NEvent.ACCEPT), ()),
            (contract(P, N.FINALIZED), ()),
        ],
    )
    def test_negotiations_wait_for_one_side(self, process: NegotiationProcess, events: tuple[NEvent, ...]) -> None:
        assert process.awaited == events

    def test_a_transfer_waits_for_its_start_and_then_for_nobody(self) -> None:
        assert moving(P, T.REQUESTED).awaited == (TEvent.START,)
        assert moving(C, T.REQUESTED).awaited == ()
        assert moving(P, T.STARTED).awaited == moving(C, T.SUSPENDED).awaited == ()

    def test_nobody_waits_before_the_first_message(self) -> None:
        assert contract(C).awaited == ()
