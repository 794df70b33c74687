import pytest

from connector.identity.replay import LEEWAY_S, ReplayGuard
from connector.protocol.errors import LocalError, PeerError
from tests.unit.identity_world import NOW, StillClock

NOW_S = NOW // 1000


def admit(guard: ReplayGuard, jti: str, *, issuer: str = "did:a", issued: float = NOW_S, life: float = 60) -> None:
    guard.admit(issuer, jti, issued_s=issued, expires_s=issued + life)


def status(guard: ReplayGuard, jti: str, *, issued: float = NOW_S, life: float = 60) -> int:
    with pytest.raises(PeerError) as refusal:
        admit(guard, jti, issued=issued, life=life)
    return refusal.value.status


def test_a_jti_is_admitted_once_per_issuer() -> None:
    guard = ReplayGuard(StillClock())
    admit(guard, "x")
    admit(guard, "y")
    admit(guard, "x", issuer="did:b")
    assert status(guard, "x") == 401
    assert status(guard, "x", life=30) == 401  # another token with the same jti


def test_issuer_and_jti_cannot_be_shifted_into_each_other() -> None:
    guard = ReplayGuard(StillClock())
    admit(guard, "bc", issuer="did:a")
    admit(guard, "c", issuer="did:ab")
    assert len(guard) == 2


def test_a_jti_is_remembered_as_long_as_its_token_could_be_used() -> None:
    clock = StillClock()
    guard = ReplayGuard(clock)
    admit(guard, "x", life=60.5)
    clock.tick(60.5 + LEEWAY_S)  # the last moment in which the verifier accepts it
    assert status(guard, "x", life=60.5) == 401
    clock.tick(1)
    admit(guard, "y", issued=NOW_S + 66)
    assert len(guard) == 1


def test_a_full_guard_refuses_new_tokens_and_forgets_none() -> None:
    clock = StillClock()
    guard = ReplayGuard(clock, capacity=3)
    for jti in ("a", "b", "c"):
        admit(guard, jti)
    assert status(guard, "d") == 503
    assert [status(guard, jti) for jti in ("a", "b", "c")] == [401, 401, 401]
    clock.tick(60 + LEEWAY_S + 1)
    admit(guard, "d", issued=NOW_S + 66)
    assert len(guard) == 1


def test_a_token_older_than_the_guard_may_be_sent_again_fresh() -> None:
    clock = StillClock(NOW + 900)
    guard = ReplayGuard(clock)
    assert status(guard, "x", issued=NOW_S - 1) == 503
    admit(guard, "x", issued=NOW_S)  # iat is in whole seconds: the guard's own second counts as later


def test_a_clock_that_goes_back_does_not_bring_a_forgotten_token_back() -> None:
    clock = StillClock()
    guard = ReplayGuard(clock)
    admit(guard, "x")
    clock.tick(3600)
    admit(guard, "y", issued=NOW_S + 3600)
    clock.at = NOW
    assert status(guard, "x") == 503


def test_forgetting_costs_as_much_as_remembering() -> None:
    clock = StillClock()
    guard = ReplayGuard(clock)
    for second in range(3600):
        for n in range(3):
            admit(guard, f"{second}-{n}", issued=NOW_S + second, life=60 + n)
        clock.tick(1)
        assert len(guard) <= 3 * (60 + 2 + LEEWAY_S + 2)
    clock.tick(100_000)
    admit(guard, "last", issued=NOW_S + 103_600)
    assert len(guard) == 1


class Memory:
    """What replicas share; `fault` is what it raises."""

    def __init__(self) -> None:
        self.until: dict[str, int] = {}
        self.fault: LocalError | None = None

    async def first_use(self, key: str, *, until_s: int, now_s: int) -> bool:
        assert now_s == NOW_S
        if self.fault is not None:
            raise self.fault
        first = key not in self.until
        self.until.setdefault(key, until_s)
        return first


class TestReplicas:
    async def use(self, guard: ReplayGuard, jti: str) -> None:
        await guard.use("did:a", jti, issued_s=NOW_S, expires_s=NOW_S + 60)

    async def test_a_token_is_good_for_one_of_them(self) -> None:
        memory = Memory()
        a, b = (ReplayGuard(StillClock(), shared=memory) for _ in "ab")
        await self.use(a, "x")
        for guard in (a, b):
            with pytest.raises(PeerError, match="used before") as refused:
                await self.use(guard, "x")
            assert refused.value.status == 401
        await self.use(b, "y")
        assert list(memory.until.values()) == [NOW_S + 60 + LEEWAY_S + 1] * 2

    async def test_what_cannot_be_told_is_refused_for_now(self) -> None:
        memory = Memory()
        memory.fault = LocalError("the database is away")
        with pytest.raises(PeerError, match="again with a fresh token") as refused:
            await self.use(ReplayGuard(StillClock(), shared=memory), "x")
        assert refused.value.status == 503

    async def test_without_others_nothing_is_shared(self) -> None:
        guard = ReplayGuard(StillClock())
        await self.use(guard, "x")
        with pytest.raises(PeerError, match="used before"):
            await self.use(guard, "x")
