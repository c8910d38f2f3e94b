"""One strategy for every blueprint, in backtest and live.

A signal waits for the close of its entry bar. Bars carry time: what is due at a bar's close is done on that bar, by the
instant and not by counting. No bar at the entry: no trade. No bar at the exit: the next bar that there is. A trade keeps the
version of the blueprint that it was opened under.
"""

import json
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import Bar, BarType, DataType, FundingRateUpdate
from nautilus_trader.model.enums import OrderSide, TriggerType
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderRejected, PositionClosed, PositionOpened
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId, PositionId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Price
from nautilus_trader.trading.strategy import Strategy

from backtestd_nautilus.model import BAR_NS, Blueprint, on_grid
from backtestd_nautilus.signal import CLIENT, BacktestdSignal, Trigger, triggers
from backtestd_nautilus.store import BlueprintStore, DamagedVersion, Version

BPS = 10_000.0


class BlueprintStrategyConfig(StrategyConfig, frozen=True):
    """How blueprints are traded."""

    blueprints: str
    """The versioned directory, ``<data root>/blueprints``."""
    instruments: tuple[str, ...]
    """Instruments that may be traded; their five-minute bars are subscribed to."""
    take: tuple[str, ...] = ()
    """Signals to trade that the daemon marks as not to be: ``watch``, ``member``, ``in_sample``. The last is a check of
    mechanics: its result is no evidence."""
    follow: bool = False
    """Live: a blueprint that the version in force does not list as active any more opens nothing, whatever its signal said."""
    equity: float = 100_000.0
    """What sizes are shares of, in quote currency."""
    size: str = "blueprint"
    """``blueprint``: by the scale of the signal, under the caps. ``least``: the smallest order, no caps."""
    max_gross: float = 2.5
    """Sum of open notionals over equity, at most."""
    max_symbol: float = 1.0
    """The same of one instrument."""
    max_net: float = 1.5
    """Long less short notional over equity, at most, in either direction."""
    max_family: float = 1.5
    """Sum of open notionals over equity of one family of events, at most: what fires together falls together."""
    funding: bool = False
    """Also subscribe to settlements of funding and book them with each trade: the engine of 1.231 books none."""
    quotes: bool = False
    """Also subscribe to quotes: a sandbox or a venue needs them to fill, a backtest on bars does not."""
    state: str | None = None
    """File that keeps what waits, what is open, cool-downs and what was seen over restarts, written with every change. Without
    it these are kept where NautilusTrader keeps the state of strategies: in a database, or nowhere."""


@dataclass
class Trade:
    """A position from its signal to its end."""

    event_id: str
    blueprint: str
    version: str
    revision: int
    primary: str
    instrument: str
    side: int
    entry_at_ns: int
    exit_at_ns: int
    scale: float
    stop_bps: float | None
    target_bps: float | None
    family: str = ""
    order: str | None = None
    position: str | None = None
    exits: tuple[str, ...] = ()
    leaving: bool = False
    left_at_ns: int | None = None
    """The close of the bar on which it was told to leave, its time being over."""


class BlueprintStrategy(Strategy):
    """Trades signals under their blueprints."""

    def __init__(self, config: BlueprintStrategyConfig) -> None:
        super().__init__(config)
        self.store = BlueprintStore(config.blueprints)
        self.take = frozenset(config.take)
        self.pending: list[Trade] = []
        self.open: list[Trade] = []
        self.done: list[dict[str, Any]] = []
        """Closed trades, for ``reconcile``."""
        self.cool_until: dict[tuple[str, str], int] = {}
        self.seen: dict[str, None] = {}
        self.counts: dict[str, int] = {}
        self.peak_gross = 0.0
        self._last: dict[str, float] = {}
        self._bar_at: dict[str, int] = {}
        self._in_force: Version | None = None
        self._settled: dict[str, list[tuple[int, float]]] = {}

    def count(self, what: str, event_id: str, blueprint: str = "") -> None:
        """Counts what became of a signal, or of a trade under one of its blueprints."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def on_start(self) -> None:
        if self.config.state and Path(self.config.state).is_file():
            self.on_load({"backtestd": Path(self.config.state).read_bytes()})
        for name in self.config.instruments:
            instrument_id = InstrumentId.from_str(name)
            if self.cache.instrument(instrument_id) is None:
                raise RuntimeError(f"{name} is not in the cache: add the instrument before the strategy starts")
            self.subscribe_bars(BarType.from_str(f"{name}-5-MINUTE-LAST-EXTERNAL"))
            if self.config.funding:
                self.subscribe_funding_rates(instrument_id)
            if self.config.quotes:
                self.subscribe_quote_ticks(instrument_id)
        self.subscribe_data(DataType(BacktestdSignal), client_id=CLIENT)
        for trade in list(self.open):
            if trade.position is None or self.cache.position(PositionId(trade.position)) is None:
                self.log.warning(f"{trade.event_id} was open when the state was saved, but there is no position of it now")
                self.count("open before, without a position now", trade.event_id, trade.blueprint)
                self.open.remove(trade)

    def on_stop(self) -> None:
        """Positions stay: whoever stops a strategy decides on them. Signals wait with the daemon until the next start."""
        self.unsubscribe_data(DataType(BacktestdSignal), client_id=CLIENT)

    # ---- signals

    def on_data(self, data: Any) -> None:
        if not isinstance(data, BacktestdSignal):
            return
        if data.kind == "retraction":
            before = len(self.pending)
            self.pending = [t for t in self.pending if t.event_id != data.event_id]
            self.count("retracted" if len(self.pending) < before else "retracted too late", data.event_id)
        elif data.kind == "signal":
            if data.event_id in self.seen:
                self.count("repeated", data.event_id)
                return
            self.seen[data.event_id] = None
            for trigger in triggers(data, self.take):
                self._accept(data, trigger)
        self._keep()

    def _accept(self, signal: BacktestdSignal, trigger: Trigger) -> None:
        name = str(signal.instrument_id)
        if name not in self.config.instruments:
            self.count("other instrument", signal.event_id, trigger.id)
            return
        version = self._version(signal.version)
        blueprint: Blueprint | None = version.blueprints.get(trigger.id) if version is not None else None
        if blueprint is None:
            if version is not None:
                self.log.error(version.refused.get(trigger.id, f"{signal.version} does not list {trigger.id}"))
            self.count("refused", signal.event_id, trigger.id)
            return
        # The cool-down begins with the signal that is taken, filled or not, as in the evidence.
        key = (trigger.id, name)
        if signal.ts_event < self.cool_until.get(key, 0):
            self.count("cooling down", signal.event_id, trigger.id)
            return
        bar_ns = (trigger.exit_at_ns - trigger.entry_at_ns) // blueprint.time_stop_bars
        self.cool_until[key] = signal.ts_event + blueprint.cooldown_bars * bar_ns
        if not (trigger.scale > 0.0 or self.config.size == "least"):
            self.count("risk unknown", signal.event_id, trigger.id)
            return
        # By the bars and not by a clock: the stream may come in accelerated time.
        if self._bar_at.get(name, 0) >= trigger.entry_at_ns:
            self.count("late", signal.event_id, trigger.id)
            return
        self.count("accepted", signal.event_id, trigger.id)
        self.pending.append(
            Trade(
                event_id=signal.event_id,
                blueprint=trigger.id,
                version=signal.version,
                revision=trigger.revision,
                primary=trigger.primary,
                instrument=name,
                side=trigger.side,
                entry_at_ns=trigger.entry_at_ns,
                exit_at_ns=trigger.exit_at_ns,
                scale=trigger.scale,
                stop_bps=blueprint.stop_bps,
                target_bps=blueprint.target_bps,
                family=json.loads(signal.record).get("canonical_family", ""),
            )
        )

    def _version(self, name: str) -> Version | None:
        """A version; None, and said, where it cannot be used."""
        try:
            return self.store.version(name)
        except (OSError, KeyError, DamagedVersion, json.JSONDecodeError) as error:
            self.log.error(f"version {name} of {self.config.blueprints} cannot be used: {error!r}")
            return None

    def on_funding_rate(self, funding_rate: FundingRateUpdate) -> None:
        name = str(funding_rate.instrument_id)
        oldest = min((t.entry_at_ns for t in self.open if t.instrument == name), default=funding_rate.ts_event)
        kept = [(at, rate) for at, rate in self._settled.get(name, ()) if at > oldest]
        self._settled[name] = [*kept, (funding_rate.ts_event, float(funding_rate.rate))]

    # ---- bars

    def on_bar(self, bar: Bar) -> None:
        name, now = str(bar.bar_type.instrument_id), on_grid(bar.ts_event)
        self._last[name], self._bar_at[name] = bar.close.as_double(), now
        for trade in [t for t in self.open if t.instrument == name and t.exit_at_ns <= now]:
            self._leave(trade, now)
        due = [t for t in self.pending if t.instrument == name and t.entry_at_ns <= now]
        for trade in due:
            self.pending.remove(trade)
            if trade.entry_at_ns < now:
                self.count("no bar at the entry", trade.event_id, trade.blueprint)
            else:
                self._enter(trade, bar)
        if due:
            self._keep()

    def _enter(self, trade: Trade, bar: Bar) -> None:
        if self.config.follow and not self._still_stands(trade):
            self.count("retired before the entry", trade.event_id, trade.blueprint)
            return
        if any(t.primary == trade.primary and t.instrument == trade.instrument and t.side == trade.side for t in self.open):
            # Without a cool-down a rule may hold several positions; of a group there is one.
            if self.store.version(trade.version).blueprints[trade.blueprint].overlap_group is not None:
                self.count("its group is in the market", trade.event_id, trade.blueprint)
                return
        instrument = self.cache.instrument(bar.bar_type.instrument_id)
        size = self._size(trade, instrument, bar.close.as_double())
        if isinstance(size, str):
            self.count(size, trade.event_id, trade.blueprint)
            return
        order = self.order_factory.market(
            instrument.id,
            OrderSide.BUY if trade.side > 0 else OrderSide.SELL,
            instrument.make_qty(size),
            tags=[trade.blueprint, trade.event_id],
        )
        trade.order = str(order.client_order_id)
        self.open.append(trade)
        self.submit_order(order)
        self.peak_gross = max(self.peak_gross, sum(n for _, n in self._exposures()) / self.config.equity)

    def _still_stands(self, trade: Trade) -> bool:
        """Whether the version in force lists the blueprint. One that cannot be read changes nothing: the last good one stands."""
        current = self.store.current()
        version = self._version(current) if current is not None else None
        self._in_force = self._in_force if version is None else version
        now = self._in_force.blueprints.get(trade.blueprint) if self._in_force is not None else None
        return now is not None and (now.status == "active" or now.status in self.take)

    def _exposures(self) -> list[tuple[Trade, float]]:
        """Open trades with their notional, those on their way included."""
        out = []
        for trade in self.open:
            order = self.cache.order(ClientOrderId(trade.order)) if trade.order else None
            if order is not None:
                out.append((trade, order.quantity.as_double() * self._last.get(trade.instrument, 0.0)))
        return out

    def _size(self, trade: Trade, instrument: Instrument, price: float) -> Decimal | str:
        """The quantity, or why there is none: the reasons are those of the daemon's own account."""
        step = instrument.size_increment.as_decimal()
        if self.config.size == "least":
            return step
        held = self._exposures()
        equity = self.config.equity
        room = min(
            self.config.max_gross * equity - sum(n for _, n in held),
            self.config.max_symbol * equity - sum(n for t, n in held if t.instrument == trade.instrument),
            self.config.max_family * equity - sum(n for t, n in held if t.family == trade.family),
            self.config.max_net * equity - trade.side * sum(t.side * n for t, n in held),
            trade.scale * equity,
        )
        if room <= 0.0:
            return "no room under the caps"
        size = (Decimal(str(room / price)) / step).to_integral_value(ROUND_DOWN) * step
        least = instrument.min_notional.as_double() if instrument.min_notional is not None else 0.0
        if size <= 0:
            return "less than a step"
        return size if float(size) * price >= least else "less than the least order"

    def _leave(self, trade: Trade, now: int) -> None:
        if trade.leaving or trade.position is None:
            return
        trade.leaving, trade.left_at_ns = True, now
        if now > trade.exit_at_ns:
            late = (now - trade.exit_at_ns) // BAR_NS
            self.log.warning(f"{trade.event_id} leaves {late} bars late: no bar of {trade.instrument} came when it was due")
            self.count("left late", trade.event_id, trade.blueprint)
        self._cancel_exits(trade)
        position = self.cache.position(PositionId(trade.position))
        if position is not None and position.is_open:
            self.close_position(position, tags=[trade.blueprint, trade.event_id])

    def _cancel_exits(self, trade: Trade) -> None:
        for name in trade.exits:
            order = self.cache.order(ClientOrderId(name))
            if order is not None and order.is_open:
                self.cancel_order(order)

    # ---- positions

    def on_position_opened(self, event: PositionOpened) -> None:
        trade = next((t for t in self.open if t.order == str(event.opening_order_id)), None)
        if trade is None:
            return
        trade.position = str(event.position_id)
        instrument = self.cache.instrument(event.instrument_id)
        position = self.cache.position(event.position_id)
        side = OrderSide.SELL if trade.side > 0 else OrderSide.BUY
        exits = []
        # On the tick away from the entry: a bar, which is on ticks itself, reaches it when it reaches the level, and not before.
        if trade.stop_bps is not None:
            price = on_tick(instrument, event.avg_px_open * (1.0 - trade.side * trade.stop_bps / BPS), trade.side < 0)
            exits.append(
                self.order_factory.stop_market(
                    instrument.id, side, position.quantity, price,
                    trigger_type=TriggerType.DEFAULT, reduce_only=True, tags=["stop"],
                )
            )
        if trade.target_bps is not None:
            price = on_tick(instrument, event.avg_px_open * (1.0 + trade.side * trade.target_bps / BPS), trade.side > 0)
            exits.append(
                self.order_factory.limit(
                    instrument.id, side, position.quantity, price, reduce_only=True, tags=["target"]
                )
            )
        trade.exits = tuple(str(o.client_order_id) for o in exits)
        for order in exits:
            self.submit_order(order, position_id=event.position_id)
        self._keep()

    def on_position_closed(self, event: PositionClosed) -> None:
        trade = next((t for t in self.open if t.position == str(event.position_id)), None)
        if trade is None:
            return
        self.open.remove(trade)
        self._cancel_exits(trade)
        self._keep()
        order = self.cache.order(event.closing_order_id)
        by = set(order.tags or ()) if order is not None else set()
        reason = "stop" if "stop" in by else "target" if "target" in by else "time"
        # A time exit is on the bar whose close it was sent at: the fill has the venue's clock, a simulated one's may be anywhere.
        left = trade.left_at_ns if reason == "time" and trade.left_at_ns is not None else on_grid(event.ts_closed)
        self.done.append(
            {
                "blueprint_id": trade.blueprint,
                "version": trade.version,
                "revision": trade.revision,
                "event_id": trade.event_id,
                "instrument": trade.instrument,
                "side": "long" if trade.side > 0 else "short",
                "entry_ns": on_grid(event.ts_opened),
                "exit_bar_ns": left,
                "exit_due_ns": trade.exit_at_ns,
                "quantity": event.peak_qty.as_double(),
                "price": self._gain(event),
                "reason": reason,
                "entry_price": event.avg_px_open,
                "exit_price": event.avg_px_close,
                "gross_bps": trade.side * (event.avg_px_close / event.avg_px_open - 1.0) * BPS,
                # What was paid: the rates that were settled strictly inside the holding time, on the notional of the entry.
                "funding_bps": self._funding(trade, left) if self.config.funding else None,
            }
        )

    def _gain(self, event: PositionClosed) -> float:
        """What the price brought, in the currency of the quote: the engine's result without its fees."""
        position = self.cache.position(event.position_id)
        paid = sum(c.as_double() for c in position.commissions()) if position is not None else 0.0
        return event.realized_pnl.as_double() + paid

    def _funding(self, trade: Trade, end_ns: int) -> float:
        settled = self._settled.get(trade.instrument, ())
        return trade.side * sum(rate for at, rate in settled if trade.entry_at_ns < at < end_ns) * BPS

    def on_order_denied(self, event: OrderDenied) -> None:
        self._dropped(event)

    def on_order_rejected(self, event: OrderRejected) -> None:
        self._dropped(event)

    def _dropped(self, event: OrderEvent) -> None:
        trade = next((t for t in self.open if t.order == str(event.client_order_id) and t.position is None), None)
        if trade is not None:
            self.log.error(f"{trade.event_id}: the entry was not accepted: {event.reason}")
            self.count("not accepted by the venue", trade.event_id, trade.blueprint)
            self.open.remove(trade)
            self._keep()

    # ---- state

    def _keep(self) -> None:
        """Writes the state to its file, whole or not at all."""
        if self.config.state:
            path = Path(self.config.state)
            beside = path.with_suffix(".new")
            beside.write_bytes(self.on_save()["backtestd"])
            beside.replace(path)

    def on_save(self) -> dict[str, bytes]:
        state = {
            "pending": [asdict(t) for t in self.pending],
            "open": [asdict(t) for t in self.open],
            "cool_until": [[*key, until] for key, until in self.cool_until.items()],
            "seen": list(self.seen)[-10_000:],
        }
        return {"backtestd": json.dumps(state).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        saved = json.loads(state.get("backtestd", b"{}"))
        read = lambda name: [Trade(**{**t, "exits": tuple(t["exits"])}) for t in saved.get(name, ())]  # noqa: E731
        self.pending, self.open = read("pending"), read("open")
        self.cool_until = {(blueprint, name): until for blueprint, name, until in saved.get("cool_until", ())}
        self.seen = dict.fromkeys(saved.get("seen", ()))


def on_tick(instrument: Instrument, price: float, up: bool) -> Price:
    """The price on the grid of ticks at or beyond a level."""
    tick = instrument.price_increment.as_decimal()
    return instrument.make_price((Decimal(str(price)) / tick).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * tick)
