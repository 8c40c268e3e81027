"""Artifacts under way, between three threads: the author's, the sender's and the listener's."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable

from streams.errors import IcnError
from streams.sdk.decision import Decision, Submission

PENDING_MAX = 20_000  # submit() waits while more are without a decision
BATCH = 1000  # artifacts per fsync of the outbox


class Pending:
    """By id. What is added goes to the sender through `take`; what has its decision to the outbox through `take_finished`."""

    def __init__(self, recovered: Iterable[Submission]) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, Submission] = {}
        self._room = threading.Semaphore(PENDING_MAX)
        self._inbox: queue.Queue[Submission] = queue.Queue()
        self._finished: queue.Queue[str] = queue.Queue()
        self._closed = False
        for submission in recovered:
            self._by_id[submission.artifact_id] = submission
            self._room.acquire(blocking=False)

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, artifact_id: str) -> Submission | None:
        """The submission of this id, while it has no decision."""
        return self._by_id.get(artifact_id)

    # -- the author's side ------------------------------------------------

    def add(self, submission: Submission, check: Callable[[], None]) -> Submission:
        """Hand it to the sender, when there is room; `check` raises where waiting is in vain. The same artifact again is the same
        submission. Raises IcnError: closed, or an id under way with other content.
        """
        if (earlier := self._same(submission)) is not None:
            return earlier
        while not self._room.acquire(timeout=1):
            check()
        with self._lock:  # close() takes it, too: what is in the inbox by then is stored
            if self._closed:
                raise IcnError("the node is closed", "submit inside `with Node(…)`")
            self._by_id[submission.artifact_id] = submission
            self._inbox.put(submission)
        return submission

    def _same(self, submission: Submission) -> Submission | None:
        earlier = self._by_id.get(submission.artifact_id)
        if earlier is not None and earlier.record != submission.record:
            raise IcnError(
                f"artifact_id {submission.artifact_id} is under way with other content", "a new artifact needs a new id"
            )
        return earlier

    def close(self) -> None:
        """Take no more."""
        with self._lock:
            self._closed = True

    # -- the sender's side ------------------------------------------------

    def take(self, wait_s: float) -> list[Submission]:
        """What was added, as many as go into the outbox at once."""
        try:
            batch = [self._inbox.get(timeout=wait_s)]
        except queue.Empty:
            return []
        while len(batch) < BATCH:
            try:
                batch.append(self._inbox.get_nowait())
            except queue.Empty:
                break
        return batch

    def take_finished(self) -> list[str]:
        """Ids that have their decision."""
        finished = []
        while True:
            try:
                finished.append(self._finished.get_nowait())
            except queue.Empty:
                return finished

    def due(self, now: float) -> list[Submission]:
        """Those that were sent, and whose time has come again (monotonic)."""
        with self._lock:
            return [s for s in self._by_id.values() if s.attempts and s.due <= now]

    # -- an end -----------------------------------------------------------

    def resolve(self, submission: Submission, decision: Decision) -> None:
        """It has its decision."""
        if self._drop(submission):
            self._finished.put(submission.artifact_id)
            if not submission.done():  # the author may have cancelled it
                submission.set_result(decision)

    def fail(self, submission: Submission, error: BaseException) -> None:
        """It won't have one here."""
        if self._drop(submission) and not submission.done():
            submission.set_exception(error)

    def fail_all(self, error: Callable[[Submission], BaseException]) -> None:
        """The same for all."""
        for submission in list(self._by_id.values()):
            self.fail(submission, error(submission))

    def settle(self, submission: Submission) -> None:
        """A refusal for want of quota holds only if it is about the last copy: a later one may fall in the next hour, and be admitted."""
        refused = submission.refused
        if (
            refused is not None
            and submission.reported == submission.attempts
            and refused[0] >= submission.last_offset
            and not submission.admitted
        ):
            self.resolve(submission, refused[1])

    def _drop(self, submission: Submission) -> bool:
        with self._lock:
            if self._by_id.pop(submission.artifact_id, None) is None:
                return False
        self._room.release()
        return True
