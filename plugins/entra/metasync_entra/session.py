"""Speaking to Graph: several requests under way at once, each repeated only where that does no harm, all at one pace.

Threads do nothing but send one request and wait for its answer. What to send again, and when, is decided by the thread that asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

import orjson
import requests

from metasync.contract import Context, MetasyncError, NotTrusted, RightMissing, SignInRefused, Unavailable
from metasync_entra import calls, errors, transport
from metasync_entra.calls import VERSION, Answer, Call
from metasync_entra.errors import Sense, Trouble
from metasync_entra.pace import Pace
from metasync_entra.patience import backoff
from metasync_entra.settings import Settings
from metasync_entra.tokens import Tokens, challenge

ATTEMPTS = 6
"""How often a request is sent in all, where it may be sent again."""
PATIENCE = 40
"""How often a request is sent that Graph refuses for too many: nothing is lost by waiting."""
RENEWALS = 2
"""How many fresh tokens in a row may be refused."""
BATCH = 20
_AGAIN = frozenset({Sense.BROKEN, Sense.LOST})


class Session:
    """One application in one tenant."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings, self.context = settings, context
        self.tokens = Tokens(settings, context)
        whose = f"{settings.tenant}/{settings.application or 'managed identity'}".lower()
        self.pace = Pace(context, published=settings.pace == "published", name=whose)
        self.expands: bool | None = None
        """Does the tenant take `$expand` of managers? None: not asked yet."""
        self.batch = BATCH
        self._line: transport.Line | None = None
        self._threads: ThreadPoolExecutor | None = None

    @property
    def host(self) -> str:
        """For messages."""
        return self.settings.cloud.graph

    def close(self) -> None:
        """Give back the lines; they are made anew where they are needed again."""
        if self._threads is not None:
            self._threads.shutdown(wait=True)
        if self._line is not None:
            self._line.close()
        self._threads = self._line = None
        self.tokens.close()

    # -- asking ------------------------------------------------------------------------------------------------------------------------

    def ask(self, call: Call) -> Answer:
        """One request; the answer may be a refusal. Raises `Unavailable`."""
        return next(iter(Flight(self, [call])))

    def read(self, path: str, *, doing: str, units: float = 1.0) -> Any:
        """What lies there. Raises `Unavailable` where it does not come."""
        return self.needed(self.ask(calls.get(path, units=units)), doing).body

    def needed(self, answer: Answer, doing: str) -> Answer:
        """An answer without which nothing goes on. Raises `Unavailable`, `RightMissing`."""
        if answer.trouble is None:
            return answer
        words = errors.outcome(answer.trouble, doing)[1]
        if answer.sense is Sense.FORBIDDEN:
            raise RightMissing(f"{self.host}: {words}; grant it in the app registration, and let an administrator consent")
        raise Unavailable(f"{self.host}: {words}")

    def batched(self, asked: Sequence[Call], *, size: int | None = None) -> Iterator[Answer]:
        """The final answer to each request, sent in batches, in any order. `Call.tag` tells them apart.

        Each part is refused and repeated by itself (https://learn.microsoft.com/graph/json-batching#batch-limits-and-throttling).
        """
        todo, attempt = list(asked), 0
        while todo:
            attempt += 1
            again: list[Call] = []
            longest = timedelta(0)
            most = min(size or BATCH, self.batch)
            chunks = [todo[start : start + most] for start in range(0, len(todo), most)]
            for outer in Flight(self, [calls.batch(chunk) for chunk in chunks]):
                given_up = outer.sense is Sense.BUSY and not outer.fields.get("responses")  # as patiently as it may be asked for
                for answer in self._parts(outer):
                    if not given_up and self._worth_repeating(answer, attempt):
                        again.append(answer.call)
                        longest = max(longest, self._told(answer, attempt))
                    else:
                        yield answer
            if again:
                self.pace.until(
                    self.pace.now() + longest, "Microsoft Graph asked for a pause" if longest else "some requests are sent again"
                )
            todo = again

    def _parts(self, outer: Answer) -> list[Answer]:
        asked: list[Call] = outer.call.tag
        if outer.trouble is not None and not outer.fields.get("responses"):
            if outer.sense not in (Sense.BROKEN, Sense.LOST, Sense.BUSY):
                self.needed(outer, "sending a batch")
            return [Answer(call=one, status=outer.status, trouble=outer.trouble) for one in asked]
        return calls.parts(outer.call, outer, asked, now=self.pace.now())

    def _worth_repeating(self, answer: Answer, attempt: int) -> bool:
        if answer.sense is Sense.BUSY or answer.status == 424:
            return attempt < PATIENCE
        return answer.sense in _AGAIN and answer.call.repeatable and attempt < ATTEMPTS

    def _told(self, answer: Answer, attempt: int) -> timedelta:
        """How long to wait; whoever is asked to wait makes all others wait too."""
        given = answer.trouble.wait if answer.trouble else None
        delay = given if given is not None else backoff(attempt)
        if answer.sense is Sense.BUSY:
            self.pace.refused(delay, writes=answer.call.writes > 0)
        return delay

    # -- one request, in any thread ------------------------------------------------------------------------------------------------------

    def send(self, call: Call, token: str) -> Answer:
        """Once, whatever comes of it. Raises `NotTrusted`."""
        url = self.address(call.path)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", **call.headers}
        data = None
        if call.body is not None:
            data = orjson.dumps(call.body)
            headers["Content-Type"] = "application/json"
        line = self.line()
        try:
            response = line.request(call.method, url, data=data, headers=headers)
        except requests.RequestException as error:
            return self._lost(call, error)
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return calls.answered(call, response.status_code, response.content, lowered, now=self.pace.now())

    def _lost(self, call: Call, error: requests.RequestException) -> Answer:
        why = transport.unreachable(error, self.host)
        if isinstance(why, NotTrusted):
            raise why from None
        nothing = isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError) or "NewConnectionError" in repr(error)
        return Answer(call=call, status=0, trouble=Trouble(status=0, code="no answer", text=str(why)), sent=not nothing)

    def address(self, path: str) -> str:
        """The whole address. Raises `Unavailable` for a link that leads to another host: it would be given our token."""
        if path.startswith("/"):
            return f"{self.settings.cloud.graph}{VERSION}{path}"
        if not self.settings.cloud.owns(path):
            raise Unavailable(f"{self.host} gave a link to another host, which is not followed; see who answers there")
        return path

    def line(self) -> transport.Line:
        """Made on first use."""
        if self._line is None:
            self._line = transport.line(self.settings)
        return self._line

    def threads(self) -> ThreadPoolExecutor:
        """Made on first use."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.settings.threads, thread_name_prefix="entra")
        return self._threads


class Flight:
    """Requests under way; more can be added while their answers come in. Iterate over it once."""

    def __init__(self, session: Session, asked: Iterable[Call]) -> None:
        self._session = session
        self._queue = deque((call, 0) for call in asked)
        self._later: list[tuple[datetime, Call, int]] = []
        self._running: dict[Future[Answer], tuple[Call, int, str]] = {}
        self._renewed: set[str] = set()

    def add(self, call: Call) -> None:
        """Another one."""
        self._queue.append((call, 0))

    def ahead(self, call: Call) -> None:
        """Another one, which is under way while whoever iterates works on what came before."""
        if self._queue or len(self._running) >= self._session.settings.threads:
            self.add(call)
        else:
            self._start(call, 0)

    def __iter__(self) -> Iterator[Answer]:
        """Every final answer, in any order. Raises `Unavailable`."""
        try:
            while self._queue or self._running or self._later:
                self._wake()
                if len(self._queue) == 1 and not self._running and not self._later:
                    call, attempt = self._queue.popleft()
                    token = self._ready(call)
                    answer = self._judged(self._session.send(call, token), attempt, token)
                    if answer is not None:
                        yield answer
                    continue
                while self._queue and len(self._running) < self._session.settings.threads:
                    self._start(*self._queue.popleft())
                if self._running:
                    for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                        _, attempt, token = self._running.pop(future)
                        answer = self._judged(future.result(), attempt, token)
                        if answer is not None:
                            yield answer
                elif self._later:
                    self._session.pace.until(min(when for when, _, _ in self._later), "Microsoft Graph asked for a pause")
        finally:
            for future in self._running:
                future.cancel()
            wait(self._running)

    def _wake(self) -> None:
        now = self._session.pace.now()
        self._queue.extend((call, attempt) for when, call, attempt in self._later if when <= now)
        self._later = [one for one in self._later if one[0] > now]

    def _ready(self, call: Call) -> str:
        self._session.address(call.path)
        self._session.pace.take(units=call.units, writes=call.writes)
        return self._session.tokens.get()

    def _start(self, call: Call, attempt: int) -> None:
        token = self._ready(call)
        self._session.line()
        self._running[self._session.threads().submit(self._session.send, call, token)] = (call, attempt, token)

    def _judged(self, answer: Answer, attempt: int, token: str) -> Answer | None:
        """The answer where it is final; else it is asked again later. Raises `Unavailable`."""
        session, found, call = self._session, answer.sense, answer.call
        session.pace.heard(answer.headers)
        attempt += 1
        if found is Sense.FINE:
            self._renewed.clear()
            return answer
        if answer.fields.get("responses"):
            return answer  # a batch, whose parts were served, whatever stands around them
        if found is Sense.SIGN_IN:
            self._renew(answer, token)
            self._queue.appendleft((call, attempt))
            return None
        if found is Sense.BUSY and attempt < PATIENCE:
            delay = answer.trouble.wait if answer.trouble and answer.trouble.wait is not None else backoff(attempt)
            session.pace.refused(delay, writes=call.writes > 0)
            self._later.append((session.pace.now() + delay, call, attempt))
            return None
        again = found in _AGAIN and (call.repeatable or not answer.sent)
        if again and attempt < ATTEMPTS:
            delay = answer.trouble.wait if answer.trouble and answer.trouble.wait is not None else backoff(attempt)
            self._later.append((session.pace.now() + delay, call, attempt))
            return None
        if not answer.sent:
            raise self._unreachable(answer)
        return answer

    def _renew(self, answer: Answer, token: str) -> None:
        """A fresh token, once for each that was refused: others that were under way with it are simply sent again."""
        claims = challenge(answer.headers.get("www-authenticate"))
        fresh = self._session.tokens.get(instead_of=token, claims=claims)
        if token in self._renewed and fresh != token:
            return
        if fresh == token or len(self._renewed) >= RENEWALS:
            raise SignInRefused(
                f"{self._session.host} takes no token of the application, not even a new one; see whether it was disabled or restricted"
            )
        self._renewed.add(token)

    def _unreachable(self, answer: Answer) -> MetasyncError:
        return Unavailable(answer.trouble.text if answer.trouble and answer.trouble.text else f"{self._session.host} cannot be reached")
