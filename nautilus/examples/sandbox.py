"""A live node with simulated fills beside a running daemon, offline and in accelerated time.

    backtestd demo --keep-running          # says where its simulated exchange listens; leave it running
    python examples/sandbox.py --exchange http://127.0.0.1:PORT --socket state/demo/backtestd.sock \\
        --blueprints data/demo/blueprints --seconds 60

Bars come by REST from the simulated exchange, stamped 59.999 as Binance stamps them. Against Binance itself, take
NautilusTrader's own adapter in place of ``ExchangeBars``; the rest stays.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from nautilus_trader.adapters.sandbox.config import SandboxExecutionClientConfig
from nautilus_trader.adapters.sandbox.factory import SandboxLiveExecClientFactory
from nautilus_trader.config import InstrumentProviderConfig, LiveDataClientConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.live.node import TradingNode
from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.model.data import Bar, BarType, QuoteTick
from nautilus_trader.model.identifiers import ClientId, Venue

from backtestd_nautilus import BlueprintStrategy, BlueprintStrategyConfig, compat
from backtestd_nautilus.client import SignalClientConfig, SignalClientFactory
from backtestd_nautilus.model import on_grid


def fetch(url: str) -> list | dict:
    """A JSON answer."""
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - the user's own exchange
        return json.load(answer)


class ExchangeClock:
    """What an exchange's clock shows, which may run faster than ours."""

    def __init__(self, url: str) -> None:
        self.at, self.shown_ms = self._ask(url)
        time.sleep(1.0)
        at, shown_ms = self._ask(url)
        self.speed = max(1, round((shown_ms - self.shown_ms) / (at - self.at) / 1000.0))

    @staticmethod
    def _ask(url: str) -> tuple[float, int]:
        """The quickest of some answers: an instant of ours, and what the exchange showed then, ms."""
        best = (float("inf"), 0.0, 0)
        for _ in range(20):
            before = time.monotonic()
            shown = fetch(f"{url}/fapi/v1/time")["serverTime"]
            after = time.monotonic()
            best = min(best, (after - before, (before + after) / 2.0, shown))
        return best[1], best[2]

    def since_ms(self, instant_ns: int) -> float:
        """Milliseconds of ours since an instant of the exchange's."""
        return (time.monotonic() - self.at) * 1e3 + (self.shown_ms - instant_ns / 1e6) / self.speed


class Noting(BlueprintStrategy):
    """Writes down what happens, a JSON object a line, as it happens; and how long after the close of a bar."""

    def __init__(self, config: BlueprintStrategyConfig, clock: ExchangeClock, path: str | None) -> None:
        super().__init__(config)
        self.exchange = clock
        self.after_ms: dict[str, list[float]] = {"signal": [], "bar": []}
        self.began = time.monotonic()
        self.file = Path(path).open("a", buffering=1) if path else None  # noqa: SIM115 - open as long as the node

    def note(self, kind: str, **what: Any) -> None:
        if self.file:
            self.file.write(json.dumps({"kind": kind, **what}) + "\n")

    def count(self, what: str, event_id: str, blueprint: str = "") -> None:
        super().count(what, event_id, blueprint)
        self.note("fate", what=what, event_id=event_id, blueprint=blueprint)

    def on_start(self) -> None:
        super().on_start()
        self.began = time.monotonic()
        self.note("start", pending=[t.event_id for t in self.pending], seen=len(self.seen))

    def on_data(self, data: Any) -> None:
        after_ms = self.exchange.since_ms(data.ts_event)
        # What was announced while the node was away is late by that, and says nothing of the way.
        if data.kind == "signal" and after_ms < (time.monotonic() - self.began) * 1e3:
            self.after_ms["signal"].append(after_ms)
        record = json.loads(data.record)
        self.note(data.kind, event_id=data.event_id, detected_ns=data.ts_event, version=data.version, seq=record.get("seq"))
        super().on_data(data)

    def on_bar(self, bar: Bar) -> None:
        self.after_ms["bar"].append(self.exchange.since_ms(on_grid(bar.ts_event)))
        super().on_bar(bar)

    def on_position_opened(self, event: Any) -> None:
        super().on_position_opened(event)
        for trade in (t for t in self.open if t.position == str(event.position_id)):
            self.note("opened", **asdict(trade), entry_bar_ns=self._bar_at[trade.instrument], price=event.avg_px_open)

    def on_position_closed(self, event: Any) -> None:
        before = len(self.done)
        super().on_position_closed(event)
        for trade in self.done[before:]:
            self.note("closed", **trade)

    def latency(self, kind: str) -> str:
        """The distribution of times after a bar's close."""
        times = sorted(self.after_ms[kind])
        if not times:
            return f"no {kind}"
        at = lambda share: times[min(len(times) - 1, int(share * len(times)))]  # noqa: E731
        return f"{kind} n {len(times)}, median {at(0.5):.0f}, 90 % {at(0.9):.0f}, most {times[-1]:.0f} ms"


def facts_of(info: dict) -> dict:
    """A line as `instruments.json` has it, from the exchange's own list."""
    filters = {f["filterType"]: f for f in info["filters"]}
    tick = Decimal(filters["PRICE_FILTER"]["tickSize"]).normalize()
    step = Decimal(filters["LOT_SIZE"]["stepSize"]).normalize()
    places = lambda x: max(0, -x.as_tuple().exponent)  # noqa: E731
    quote = info.get("quoteAsset", "USDT")
    return {
        "instrument_id": f"{info['symbol']}-PERP.BINANCE", "symbol": info["symbol"], "market": "perp",
        "base": info.get("baseAsset", info["symbol"].removesuffix(quote)), "quote": quote,
        "price_precision": places(tick), "size_precision": places(step), "price_increment": f"{tick:f}",
        "size_increment": f"{step:f}", "min_notional": filters.get("MIN_NOTIONAL", {}).get("notional"), "taker_fee": "0.0004", "maker_fee": "0.0002",
    }  # fmt: skip


class ExchangeBarsConfig(LiveDataClientConfig, frozen=True, kw_only=True):
    """Where the exchange is."""

    url: str
    symbols: tuple[str, ...]
    every_s: float = 0.1


class ExchangeBars(LiveMarketDataClient):
    """Finished bars of an exchange that speaks Binance's REST, each with a quote at its close."""

    def __init__(self, loop, msgbus, cache, clock, config: ExchangeBarsConfig) -> None:  # noqa: ANN001
        super().__init__(
            loop=loop, client_id=ClientId("BINANCE"), venue=Venue("BINANCE"), msgbus=msgbus, cache=cache, clock=clock,
            instrument_provider=InstrumentProvider(InstrumentProviderConfig()), config=config,
        )  # fmt: skip
        self.config = config
        self.bars = 0

    async def _connect(self) -> None:
        info = await asyncio.to_thread(fetch, f"{self.config.url}/fapi/v1/exchangeInfo")
        listed = {s["symbol"]: s for s in info["symbols"]}
        self.instruments = {s: compat.instrument_of(facts_of(listed[s])) for s in self.config.symbols}
        for instrument in self.instruments.values():
            self._instrument_provider.add(instrument)
            self._handle_data(instrument)
        self.polling = self.create_task(self._poll(), log_msg="poll bars")

    async def _disconnect(self) -> None:
        self.polling.cancel()

    async def _subscribe_bars(self, command) -> None:  # noqa: ANN001
        """Every bar is handed on."""

    async def _subscribe_quote_ticks(self, command) -> None:  # noqa: ANN001
        """Every quote is handed on."""

    async def _subscribe_instrument(self, command) -> None:  # noqa: ANN001
        """Handed on at the start."""

    async def _subscribe_instruments(self, command) -> None:  # noqa: ANN001
        """Handed on at the start."""

    async def _unsubscribe_bars(self, command) -> None:  # noqa: ANN001
        """See above."""

    async def _unsubscribe_quote_ticks(self, command) -> None:  # noqa: ANN001
        """See above."""

    async def _poll(self) -> None:
        seen: dict[str, int] = {}
        while True:
            for symbol, instrument in self.instruments.items():
                with contextlib.suppress(OSError):
                    url = f"{self.config.url}/fapi/v1/klines?symbol={symbol}&interval=5m&limit=20"
                    # The last one is still being traded; what had closed when this began is past.
                    rows = (await asyncio.to_thread(fetch, url))[:-1]
                    for row in rows:
                        if row[0] > seen.setdefault(symbol, rows[-1][0]):
                            self._hand_on(instrument, row)
                            seen[symbol] = row[0]
                            # One a round: an order on a bar is filled before the next one moves the price.
                            break
            await asyncio.sleep(self.config.every_s)

    def _hand_on(self, instrument, row: list) -> None:  # noqa: ANN001
        stamp = row[6] * 1_000_000
        o, h, l, c = (instrument.make_price(float(v)) for v in row[1:5])  # noqa: E741
        much = instrument.make_qty(1_000_000)
        self._handle_data(QuoteTick(instrument.id, c, c, much, much, stamp, stamp))
        kind = BarType.from_str(f"{instrument.id}-5-MINUTE-LAST-EXTERNAL")
        self._handle_data(Bar(kind, o, h, l, c, instrument.make_qty(float(row[5])), stamp, stamp))
        self.bars += 1


class ExchangeBarsFactory(LiveDataClientFactory):
    """Makes the client for the node."""

    @staticmethod
    def create(loop, name, config, msgbus, cache, clock):  # noqa: ANN001, ANN205
        return ExchangeBars(loop, msgbus, cache, clock, config)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchange", required=True)
    parser.add_argument("--socket", default="state/demo/backtestd.sock")
    parser.add_argument("--blueprints", default="data/demo/blueprints")
    parser.add_argument("--symbols", default="BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT,XRPUSDT,DOGEUSDT")
    parser.add_argument("--position", default=None, help="file that keeps the place in the stream over restarts")
    parser.add_argument("--state", default=None, help="file that keeps what waits and what is open over restarts")
    parser.add_argument("--journal", default=None, help="file to add what happens to, a JSON object a line")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--take", default="")
    args = parser.parse_args()
    symbols = tuple(args.symbols.split(","))
    names = tuple(f"{s}-PERP.BINANCE" for s in symbols)

    clock = ExchangeClock(args.exchange)
    # The exchange's limits are by its own time: at the speed of time, twice a second is what they allow beside a daemon.
    every_s = 0.1 if clock.speed > 1 else 0.5
    node = TradingNode(
        TradingNodeConfig(
            trader_id="SANDBOX-001",
            logging=LoggingConfig(log_level="WARNING"),
            # Simulated fills are there at once: nothing is waited for at the end.
            timeout_post_stop=1.0,
            data_clients={
                "BINANCE": ExchangeBarsConfig(url=args.exchange, symbols=symbols, every_s=every_s),
                "BACKTESTD": SignalClientConfig(socket=args.socket, position=args.position),
            },
            exec_clients={
                "BINANCE": SandboxExecutionClientConfig(
                    venue="BINANCE", starting_balances=["1000000 USDT"], oms_type="HEDGING", account_type="MARGIN",
                    default_leverage=Decimal(20), bar_execution=False,
                )  # fmt: skip
            },
        )
    )
    strategy = Noting(
        BlueprintStrategyConfig(
            strategy_id="BLUEPRINTS-001",
            oms_type="HEDGING",
            blueprints=args.blueprints,
            instruments=names,
            follow=True,
            take=tuple(kind for kind in args.take.split(",") if kind),
            quotes=True,
            state=args.state,
        ),
        clock,
        args.journal,
    )
    node.trader.add_strategy(strategy)
    node.add_data_client_factory("BINANCE", ExchangeBarsFactory)
    node.add_data_client_factory("BACKTESTD", SignalClientFactory)
    node.add_exec_client_factory("BINANCE", SandboxLiveExecClientFactory)
    node.build()

    # A timer and no task: who ends it before by Ctrl-C leaves nothing that is waited for.
    loop = node.get_event_loop()
    stopping = []
    loop.call_later(args.seconds, lambda: stopping.append(loop.create_task(node.stop_async())))
    node.run()
    signals = SignalClientFactory.made[-1]
    print(f"stream  {signals.counts}, at most {signals.largest_age_ms:.0f} ms after the announcement (not told in accelerated time)")
    print(f"entries {signals.first} to {signals.newest}, {signals.lost()} lost")
    print(f"signals {strategy.counts}")
    print(f"trades  {len(strategy.done)} closed, {len(strategy.open)} open, peak gross {strategy.peak_gross:.2f} x equity")
    print(f"after the close of a bar, at speed {clock.speed}: {strategy.latency('signal')}; {strategy.latency('bar')}")
    for trade in strategy.done[-5:]:
        print(f"  {trade['event_id']} {trade['side']} {trade['gross_bps']:+.1f} bps under {trade['blueprint_id']} of {trade['version']}")
    node.dispose()
    return 3 if signals.lost() else 0


if __name__ == "__main__":
    sys.exit(main())
