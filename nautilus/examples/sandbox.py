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
from decimal import Decimal
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


def fetch(url: str) -> list | dict:
    """A JSON answer."""
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - the user's own exchange
        return json.load(answer)


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
        self.create_task(self._poll(), log_msg="poll bars")

    async def _disconnect(self) -> None:
        """The task ends with the loop."""

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
                    # The last one is still being traded.
                    for row in (await asyncio.to_thread(fetch, url))[:-1]:
                        if symbol in seen and row[0] > seen[symbol]:
                            self._hand_on(instrument, row)
                        seen[symbol] = max(seen.get(symbol, 0), row[0])
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
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--take", default="")
    args = parser.parse_args()
    symbols = tuple(args.symbols.split(","))
    names = tuple(f"{s}-PERP.BINANCE" for s in symbols)

    node = TradingNode(
        TradingNodeConfig(
            trader_id="SANDBOX-001",
            logging=LoggingConfig(log_level="WARNING"),
            data_clients={
                "BINANCE": ExchangeBarsConfig(url=args.exchange, symbols=symbols),
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
    strategy = BlueprintStrategy(
        BlueprintStrategyConfig(
            strategy_id="BLUEPRINTS-001",
            oms_type="HEDGING",
            blueprints=args.blueprints,
            instruments=names,
            follow=True,
            take=tuple(kind for kind in args.take.split(",") if kind),
            quotes=True,
        )
    )
    node.trader.add_strategy(strategy)
    node.add_data_client_factory("BINANCE", ExchangeBarsFactory)
    node.add_data_client_factory("BACKTESTD", SignalClientFactory)
    node.add_exec_client_factory("BINANCE", SandboxLiveExecClientFactory)
    node.build()

    async def stop_after() -> None:
        await asyncio.sleep(args.seconds)
        await node.stop_async()

    loop = node.get_event_loop()
    loop.create_task(stop_after())
    node.run()
    signals = SignalClientFactory.made[-1]
    print(f"stream  {signals.counts}, at most {signals.largest_age_ms:.0f} ms after the announcement (not told in accelerated time)")
    print(f"entries {signals.first} to {signals.position.last}, {signals.lost()} lost")
    print(f"signals {strategy.counts}")
    print(f"trades  {len(strategy.done)} closed, {len(strategy.open)} open, peak gross {strategy.peak_gross:.2f} x equity")
    for trade in strategy.done[-5:]:
        print(f"  {trade['event_id']} {trade['side']} {trade['gross_bps']:+.1f} bps under {trade['blueprint_id']} of {trade['version']}")
    node.dispose()
    return 3 if signals.lost() else 0


if __name__ == "__main__":
    sys.exit(main())
