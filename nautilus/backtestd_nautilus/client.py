"""The daemon's stream of signals as a live data client of NautilusTrader."""

import asyncio
import json

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.config import LiveDataClientConfig
from nautilus_trader.data.messages import SubscribeData, UnsubscribeData
from nautilus_trader.live.data_client import LiveDataClient
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.model.data import CustomData, DataType

from backtestd_nautilus.signal import CLIENT, BacktestdSignal, from_record
from backtestd_nautilus.sse import Message, Position, StreamRefused, messages


DAY_MS = 86_400_000.0
# What was handed on waits in the engine's queue. A process that is killed meanwhile is told it again: a strategy knows what it
# has seen, and does not know what it has not.
KEEP_AFTER_S = 0.5


def init_ns(record: dict, now_ns: int) -> int:
    """The instant that a signal is stamped with: ours, or, where the daemon's clock is another one (accelerated time, or what is
    told again after more than a day), that of its announcement. A simulated venue takes its time from the data that it sees,
    signals among them: by our clock its next fill would be years ahead of its bars."""
    announced = record.get("arrival_ns") or record.get("published_at_ns") or 0
    return announced if announced and abs(now_ns - announced) / 1e6 >= DAY_MS else now_ns


class SignalClientConfig(LiveDataClientConfig, frozen=True, kw_only=True):
    """Where the daemon is, and how far its stream was read."""

    socket: str
    """The daemon's Unix socket."""
    position: str | None = None
    """File that keeps the position over restarts: nothing is lost, nothing comes twice. Without it the stream begins now."""
    retry_s: float = 1.0
    """Pause before the first attempt to connect again; it doubles up to 30 s."""


class SignalClient(LiveDataClient):
    """Reads the stream, hands each entry on once, and comes back after the daemon has gone."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, msgbus: MessageBus, cache: Cache, clock: LiveClock, config: SignalClientConfig
    ) -> None:
        super().__init__(loop=loop, client_id=CLIENT, venue=None, msgbus=msgbus, cache=cache, clock=clock, config=config)
        self.config = config
        self.position = Position(config.position)
        self.counts = {"signal": 0, "retraction": 0, "blueprint_version": 0, "heartbeat": 0, "repeated": 0, "connections": 0}
        self.largest_age_ms = 0.0
        """The longest way from the daemon's announcement to here, by the clocks of both; nothing in accelerated time."""
        self.first: int | None = None
        """Number of the first entry that was handed on."""
        self.newest: int | None = None
        """Number of the last one."""
        self._task: asyncio.Task | None = None

    async def _connect(self) -> None:
        """The stream is read as soon as somebody wants it: what comes before a strategy has started is delivered to nobody."""

    async def _disconnect(self) -> None:
        self._rest()

    async def _subscribe(self, command: SubscribeData) -> None:
        if self._task is None:
            self._task = self.create_task(self._follow(), log_msg="follow the daemon's signals")

    async def _unsubscribe(self, command: UnsubscribeData) -> None:
        self._rest()

    def _rest(self) -> None:
        """Reads no further. What was handed on in the last moment comes again next time."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self.position.forget_newer()

    def _keep(self, task: asyncio.Task | None, number: int) -> None:
        if task is self._task:
            self.position.keep(number)

    async def _follow(self) -> None:
        pause = self.config.retry_s
        while True:
            try:
                self.counts["connections"] += 1
                async for message in messages(self.config.socket, self.position.last):
                    pause = self.config.retry_s
                    self._take(message)
                self._log.warning("the daemon closed the stream")
            except StreamRefused as error:
                # What is no longer kept cannot be read again: say so, and go on with what is.
                self._log.error(str(error))
                if error.status in (400, 410):
                    self.position.last = None
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self._log.warning(f"the daemon's stream at {self.config.socket}: {error!r}; again in {pause:.0f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2.0, 30.0)

    def _take(self, message: Message) -> None:
        if message.event not in ("signal", "retraction", "blueprint_version"):
            self.counts["heartbeat"] += 1
            return
        if message.id is not None and not self.position.move(message.id):
            self.counts["repeated"] += 1
            return
        self.counts[message.event] += 1
        self.first = message.id if self.first is None else self.first
        record = json.loads(message.data)
        now = self._clock.timestamp_ns()
        age_ms = (now - record.get("arrival_ns", 0)) / 1e6
        if abs(age_ms) < DAY_MS:
            self.largest_age_ms = max(self.largest_age_ms, age_ms)
        signal = from_record(record, message.event, ts_init=init_ns(record, now))
        self._handle_data(CustomData(DataType(BacktestdSignal), signal))
        if message.id is not None:
            self.newest = message.id
            self._loop.call_later(KEEP_AFTER_S, self._keep, self._task, message.id)

    def lost(self) -> int:
        """Entries of the stream between the first and the last one that did not come."""
        if self.first is None or self.newest is None:
            return 0
        received = sum(self.counts[kind] for kind in ("signal", "retraction", "blueprint_version"))
        return self.newest - self.first + 1 - received


class SignalClientFactory(LiveDataClientFactory):
    """Makes the client for a node."""

    made: list[SignalClient] = []
    """The clients that were made, for their counts."""

    @staticmethod
    def create(loop, name, config, msgbus, cache, clock):  # noqa: ANN001, ANN205 - the signature is NautilusTrader's
        SignalClientFactory.made.append(SignalClient(loop, msgbus, cache, clock, config))
        return SignalClientFactory.made[-1]
