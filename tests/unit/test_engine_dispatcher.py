"""Lanes: order within a process, independence between processes, and what happens when something fails."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from connector.engine.dispatcher import FAULT_PAUSE_MS, Dispatcher
from connector.engine.resting import AGAIN
from connector.exchange.hold import held, hold
from connector.exchange.records import Outgoing
from tests.integration.exchange_world import StillClock


def message(name: str, topic: str = "t", due_at: int = 0, *, to: str = "x", audience: str | None = None) -> Outgoing:
    return Outgoing(name, 0, topic, "callback", "X", f"http://{to}/dsp", b"", audience=audience, due_at=due_at)


class Lanes:
    """A dispatcher whose deliveries are noted; `gates` hold single ones back, `script` says how they end."""

    def __init__(self, lanes: int = 64, per_host: int = 16) -> None:
        self.clock = StillClock()
        self.tried: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.script: dict[str, list[int | Exception]] = {}
        self.dispatcher = Dispatcher(self.deliver, self.clock, lanes=lanes, per_host=per_host)

    async def deliver(self, message: Outgoing) -> Outgoing | None:
        self.tried.append(message.id)
        if (gate := self.gates.get(message.id)) is not None:
            await gate.wait()
        if not (script := self.script.get(message.id)):
            return None
        match script.pop(0):
            case int() as later:
                return replace(message, due_at=self.clock.at + later, attempts=message.attempts + 1)
            case error:
                raise error

    def add(self, *messages: Outgoing) -> None:
        self.dispatcher.add(messages)

    async def settle(self, ms: int = 0) -> None:
        self.clock.move_to(self.clock.at + ms)
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def lanes() -> AsyncIterator[Lanes]:
    made = Lanes()
    yield made
    await made.dispatcher.close()


async def test_messages_of_a_topic_leave_one_after_another(lanes: Lanes) -> None:
    lanes.gates["a"] = asyncio.Event()
    lanes.add(message("a"), message("b"))
    await lanes.settle()
    assert (lanes.tried, lanes.dispatcher.waiting) == (["a"], 2)
    lanes.gates["a"].set()
    await lanes.settle()
    assert (lanes.tried, lanes.dispatcher.waiting) == (["a", "b"], 0)


async def test_a_drain_lets_what_is_under_way_end_and_begins_nothing(lanes: Lanes) -> None:
    lanes.gates["a"] = asyncio.Event()
    lanes.add(message("a"), message("b"))
    await lanes.settle()
    draining = asyncio.create_task(lanes.dispatcher.drain(60))
    await lanes.settle()
    lanes.add(message("c", "other"))
    assert not draining.done()
    lanes.gates["a"].set()
    await draining
    await lanes.settle()
    assert (lanes.tried, lanes.dispatcher.waiting) == (["a"], 2)


async def test_a_drain_does_not_wait_longer_than_it_is_told(lanes: Lanes) -> None:
    lanes.gates["a"] = asyncio.Event()
    lanes.add(message("a"))
    await lanes.settle()
    await lanes.dispatcher.drain(0)
    assert lanes.dispatcher.waiting == 1


async def test_topics_do_not_wait_for_each_other(lanes: Lanes) -> None:
    lanes.script["a"] = [1000]
    lanes.add(message("a", "one", to="away"), message("b", "two"))
    await lanes.settle()
    assert lanes.tried == ["a", "b"]


async def test_a_waiting_head_holds_back_its_own_topic_until_it_is_due(lanes: Lanes) -> None:
    lanes.script["a"] = [1000]
    lanes.add(message("a"), message("b"))
    await lanes.settle()
    await lanes.settle(999)
    assert lanes.tried == ["a"]
    await lanes.settle(1)
    assert lanes.tried == ["a", "a", "b"]


async def test_a_waiting_head_does_not_use_up_a_slot() -> None:
    lanes = Lanes(lanes=1)
    lanes.script["a"] = [RuntimeError("the disk is full")]
    lanes.add(message("a", "one"), message("b", "two"))
    await lanes.settle()
    assert lanes.tried == ["a", "b"]
    await lanes.dispatcher.close()


async def test_no_more_than_so_many_are_under_way_at_once() -> None:
    lanes = Lanes(lanes=1)
    lanes.gates["a"] = asyncio.Event()
    lanes.add(message("a", "one"), message("b", "two"))
    await lanes.settle()
    assert lanes.tried == ["a"]
    lanes.gates["a"].set()
    await lanes.settle()
    assert lanes.tried == ["a", "b"]
    await lanes.dispatcher.close()


async def test_a_fault_of_our_own_does_not_kill_the_lane(lanes: Lanes) -> None:
    lanes.script["a"] = [RuntimeError("the disk is full")]
    lanes.add(message("a"))
    await lanes.settle()
    assert lanes.dispatcher.waiting == 1
    await lanes.settle(FAULT_PAUSE_MS)
    assert (lanes.tried, lanes.dispatcher.waiting) == (["a", "a"], 0)


async def test_what_was_taken_back_is_not_sent(lanes: Lanes) -> None:
    lanes.script["a"] = [1000]
    lanes.add(message("a"), message("b"))
    await lanes.settle()
    lanes.dispatcher.forget("t")
    lanes.add(message("c"))
    await lanes.settle()
    assert lanes.tried == ["a", "c"]
    lanes.dispatcher.forget("unknown")


async def test_what_was_taken_back_while_on_its_way_is_not_tried_again(lanes: Lanes) -> None:
    lanes.gates["a"] = asyncio.Event()
    lanes.script["a"] = [0]
    lanes.add(message("a"))
    await lanes.settle()
    lanes.dispatcher.forget("t")
    lanes.add(message("b"))
    lanes.gates["a"].set()
    await lanes.settle()
    assert lanes.tried == ["a", "b"]


async def test_a_message_that_comes_twice_is_sent_once(lanes: Lanes) -> None:
    lanes.add(message("a"), message("a"))
    await lanes.settle()
    assert lanes.tried == ["a"]


async def test_held_messages_wait_for_their_release(lanes: Lanes) -> None:
    with hold() as held:
        lanes.add(message("a"))
    await lanes.settle()
    assert (lanes.tried, lanes.dispatcher.waiting) == ([], 1)
    lanes.dispatcher.release(held)
    await lanes.settle()
    assert lanes.tried == ["a"]


class TestAPauseAfterTheAnswer:
    """What goes to the participant that has just been answered leaves later."""

    async def test_its_messages_leave_after_the_pause(self, lanes: Lanes) -> None:
        with hold() as held:
            lanes.add(message("a", audience="P"), message("b", audience="P"))
        lanes.dispatcher.release(held, 100)
        await lanes.settle(99)
        assert lanes.tried == []
        await lanes.settle(1)
        assert lanes.tried == ["a", "b"]

    async def test_also_when_it_is_heard_from(self, lanes: Lanes) -> None:
        with hold() as held:
            lanes.add(message("a", audience="P"))
        lanes.dispatcher.release(held, 100)
        lanes.dispatcher.heard("P")
        await lanes.settle()
        assert lanes.tried == []

    async def test_what_goes_to_others_leaves_at_once(self, lanes: Lanes) -> None:
        with hold() as held:
            lanes.add(message("a", "callback", audience=None))
        lanes.dispatcher.release(held, 100)
        await lanes.settle()
        assert lanes.tried == ["a"]

    async def test_what_was_taken_back_meanwhile_is_not_sent(self, lanes: Lanes) -> None:
        with hold() as held:
            lanes.add(message("a", audience="P"))
        lanes.dispatcher.forget("t")
        lanes.dispatcher.release(held, 100)
        await lanes.settle(100)
        assert lanes.tried == []


async def test_a_lane_that_runs_already_does_not_let_held_messages_pass(lanes: Lanes) -> None:
    lanes.gates["a"] = asyncio.Event()
    lanes.add(message("a"))
    await lanes.settle()
    with hold() as held:
        lanes.add(message("b"))
    lanes.gates["a"].set()
    await lanes.settle()
    assert lanes.tried == ["a"]
    lanes.dispatcher.release(held)
    await lanes.settle()
    assert lanes.tried == ["a", "b"]


async def test_held_messages_that_were_taken_back_are_not_released(lanes: Lanes) -> None:
    with hold() as held:
        lanes.add(message("a"))
    lanes.dispatcher.forget("t")
    lanes.dispatcher.release(held)
    await lanes.settle()
    assert (lanes.tried, lanes.dispatcher.waiting) == ([], 0)


async def test_closing_leaves_nothing_running(lanes: Lanes) -> None:
    lanes.script["a"] = [1000]
    lanes.gates["b"] = asyncio.Event()
    lanes.add(message("a", "one"), message("b", "two"))
    await lanes.settle()
    await lanes.dispatcher.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


class TestACounterpartyThatComesBack:
    """What waits for it is due when it is heard from, not when its pause has ended."""

    AWAY = 60_000

    async def test_what_waits_for_a_participant_leaves_when_it_speaks(self, lanes: Lanes) -> None:
        lanes.script |= {"a": [self.AWAY], "b": [self.AWAY], "c": [self.AWAY]}
        lanes.add(*(message(name, name, audience=who) for name, who in (("a", "P"), ("b", "Q"), ("c", "P"))))
        await lanes.settle()
        lanes.dispatcher.heard("P")
        await lanes.settle()
        assert lanes.tried == ["a", "b", "c", "a", "c"]

    async def test_a_delivery_that_arrives_is_as_good_as_its_word(self, lanes: Lanes) -> None:
        lanes.script["a"] = [self.AWAY]
        lanes.add(message("a", "one"))
        await lanes.settle()
        lanes.add(message("b", "two"))
        await lanes.settle()
        assert lanes.tried == ["a", "b", "a"]

    async def test_its_order_within_a_process_stays(self, lanes: Lanes) -> None:
        lanes.script["a"] = [self.AWAY]
        lanes.add(message("a", audience="P"), message("b", audience="P"))
        await lanes.settle()
        lanes.dispatcher.heard("P")
        await lanes.settle()
        assert lanes.tried == ["a", "a", "b"]

    async def test_one_that_speaks_but_cannot_be_reached_gives_the_next_pause_a_fourth(self, lanes: Lanes) -> None:
        lanes.script["a"] = [self.AWAY] * 9
        lanes.add(message("a", audience="P"))
        for attempts in (2, 3, 4):  # the first before its time is at once
            for _ in range(5):
                await lanes.settle()
                lanes.dispatcher.heard("P")
            assert len(lanes.tried) == attempts
            await lanes.settle(self.AWAY // AGAIN)

    async def test_after_an_attempt_that_was_due_by_itself_it_is_at_once_again(self, lanes: Lanes) -> None:
        lanes.script["a"] = [self.AWAY] * 9
        lanes.add(message("a", audience="P"))
        for attempts in (2, 4):
            await lanes.settle()
            lanes.dispatcher.heard("P")
            await lanes.settle()
            assert len(lanes.tried) == attempts
            await lanes.settle(self.AWAY)

    async def test_who_was_asked_for_patience_waits(self, lanes: Lanes) -> None:
        lanes.add(replace(message("a", due_at=lanes.clock.at + self.AWAY, audience="P"), patient=True))
        lanes.dispatcher.heard("P")
        await lanes.settle()
        assert lanes.tried == []

    async def test_what_was_taken_back_is_not_sent(self, lanes: Lanes) -> None:
        lanes.script["a"] = [self.AWAY]
        lanes.add(message("a", audience="P"))
        await lanes.settle()
        lanes.dispatcher.forget("t")
        lanes.dispatcher.heard("P")
        await lanes.settle(self.AWAY)
        assert (lanes.tried, lanes.dispatcher.waiting) == (["a"], 0)

    async def test_held_messages_stay_held(self, lanes: Lanes) -> None:
        with hold():
            lanes.add(message("a", audience="P"))
        lanes.dispatcher.heard("P")
        await lanes.settle()
        assert lanes.tried == []


class TestOneHost:
    """A host that holds what it is given holds its share only."""

    async def test_it_does_not_get_all_slots(self) -> None:
        lanes = Lanes(lanes=4, per_host=2)
        silent = [message(f"s{n}", f"s{n}", to="silent:1") for n in range(9)]
        lanes.gates = {m.id: asyncio.Event() for m in silent}
        lanes.add(*silent, message("a", "a", to="other:1"), message("b", "b", to="other:1"))
        await lanes.settle()
        assert lanes.tried == ["s0", "a", "s1", "b"]
        for m in silent:
            lanes.gates[m.id].set()
        await lanes.settle()
        assert sorted(lanes.tried[4:]) == [f"s{n}" for n in range(2, 9)]
        await lanes.dispatcher.close()

    async def test_what_waits_for_its_share_is_not_overdue_here(self) -> None:
        lanes = Lanes(lanes=2, per_host=1)
        lanes.gates = {name: asyncio.Event() for name in "abcd"}
        lanes.add(message("a", "a", 1, to="silent"), message("b", "b", 2, to="silent"))
        await lanes.settle()
        seen = [lanes.dispatcher.due_since]
        lanes.add(message("c", "c", 3, to="other"), message("d", "d", 4, to="third"))
        await lanes.settle()
        assert [*seen, lanes.dispatcher.due_since] == [None, 4]  # all slots are taken: the last one waits for us
        await lanes.dispatcher.close()

    async def test_hosts_take_turns(self) -> None:
        lanes = Lanes(lanes=1)
        lanes.gates["first"] = asyncio.Event()
        names = [("first", "x"), ("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("b2", "b")]
        lanes.add(*(message(name, name, to=host) for name, host in names))
        await lanes.settle()
        lanes.gates["first"].set()
        for _ in range(4):
            await lanes.settle()
        assert lanes.tried == ["first", "a1", "b1", "a2", "b2", "a3"]
        await lanes.dispatcher.close()

    async def test_what_was_taken_back_before_its_turn_takes_none(self) -> None:
        lanes = Lanes(lanes=1)
        lanes.gates["a"] = asyncio.Event()
        lanes.add(message("a", "a"), message("b", "b"), message("c", "c"))
        await lanes.settle()
        lanes.dispatcher.forget("b")
        lanes.gates["a"].set()
        await lanes.settle()
        assert (lanes.tried, lanes.dispatcher.waiting) == (["a", "c"], 0)
        await lanes.dispatcher.close()


class TestAClockThatJumps:
    PAUSE = 200_000

    async def test_forward_what_rested_leaves(self, lanes: Lanes) -> None:
        lanes.script["a"] = [self.PAUSE]
        lanes.add(message("a"))
        await lanes.settle()
        await lanes.settle(24 * 3_600_000)
        assert lanes.tried == ["a", "a"]

    async def test_backward_nobody_waits_for_the_time_that_was(self, lanes: Lanes) -> None:
        lanes.script["a"] = [self.PAUSE]
        lanes.add(message("a"))
        await lanes.settle()
        lanes.clock.set_back(24 * 3_600_000)
        await lanes.settle()
        assert lanes.tried == ["a", "a"]

    async def test_a_message_from_a_time_that_was_later_is_due_after_a_start(self, lanes: Lanes) -> None:
        lanes.add(message("a", due_at=lanes.clock.at + 24 * 3_600_000))
        await lanes.settle()
        assert lanes.tried == ["a"]


async def test_a_lane_does_not_run_in_the_hold_of_the_request_that_began_it(lanes: Lanes) -> None:
    seen = []

    async def deliver(_: Outgoing) -> None:
        seen.append(held())

    dispatcher = Dispatcher(deliver, lanes.clock)
    with hold() as messages:
        dispatcher.add([message("a")])
        dispatcher.release(messages)
        await lanes.settle()
    assert seen == [None]


async def test_ten_thousand_that_rest_cost_one_task(lanes: Lanes) -> None:
    lanes.add(*(message(f"m{n}", f"t{n}", lanes.clock.at + 1000 + n, to=f"h{n}") for n in range(10_000)))
    assert len(asyncio.all_tasks()) <= 2
    await lanes.settle()
    assert lanes.dispatcher.waiting == 10_000
    await lanes.settle(1004)
    assert lanes.tried == [f"m{n}" for n in range(5)]
