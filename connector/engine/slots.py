"""Who may send now: so many messages at once in all, and not more than a share of them to one host.

A host that takes connections and never answers holds what was given to it for as long as a time limit lasts. With a
limit per host it can hold its share and nothing more. Hosts that have something to send take turns.
"""

from collections import Counter, deque


class Slots:
    """Gives `total` slots to topics, at most `per_host` to those of one host, who are served in their order."""

    def __init__(self, total: int, per_host: int) -> None:
        self._free = total
        self._per_host = per_host
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[str]] = {}

    def ask(self, host: str, topic: str) -> None:
        """Queue a topic; `give` says when it is its turn."""
        self._waiting.setdefault(host, deque()).append(topic)

    def give(self) -> list[tuple[str, str]]:
        """Take slots for those whose turn it is: (host, topic). Each has to be given back."""
        given: list[tuple[str, str]] = []
        while self._free:
            host = next((host for host in self._waiting if self._taken[host] < self._per_host), None)
            if host is None:
                break
            given.append((host, self._take(host)))
        return given

    def full(self, host: str) -> bool:
        """Whether a host has its share: what else is for it waits for the host, not for us."""
        return self._taken[host] >= self._per_host

    def _take(self, host: str) -> str:
        queue = self._waiting.pop(host)
        topic = queue.popleft()
        if queue:
            self._waiting[host] = queue  # behind the others
        self._taken[host] += 1
        self._free -= 1
        return topic

    def give_back(self, host: str) -> None:
        """The message of a host is no longer under way."""
        self._free += 1
        self._taken[host] -= 1
        if not self._taken[host]:
            del self._taken[host]
