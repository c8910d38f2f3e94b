"""The strategy in a real engine, on bars made by hand."""

from pathlib import Path
from typing import Any

import pytest
from conftest import BAR, NAME, START, line, publish, record
from nautilus_trader.model.data import Bar, BarType, CustomData, DataType

from backtestd_nautilus import BacktestdSignal, BlueprintStrategy, BlueprintStrategyConfig, compat
from backtestd_nautilus.signal import CLIENT, from_record

FACTS = {
    "instrument_id": NAME, "symbol": "BTCUSDT", "market": "perp", "base": "BTC", "quote": "USDT", "price_precision": 1,
    "size_precision": 3, "price_increment": "0.1", "size_increment": "0.001", "min_notional": "5", "taker_fee": "0.0004",
    "maker_fee": "0.0002",
}  # fmt: skip


def price(at: int) -> float:
    """A close for every bar."""
    return 100.0 + (at * 7) % 11


def run(
    root: Path, records: list[dict[str, Any]], *, missing: frozenset[int] = frozenset(), early_ns: int = 0,
    bars: dict[int, tuple[float, float, float, float]] | None = None, n: int = 40, **config: Any,
) -> BlueprintStrategy:  # fmt: skip
    """Runs the strategy over `n` bars; `early_ns` stamps them before the boundary, as live ones are."""
    instrument = compat.instrument_of(FACTS)
    engine = compat.backtest_engine([instrument], 1_000_000.0)
    kind = BarType.from_str(f"{NAME}-5-MINUTE-LAST-EXTERNAL")
    made = []
    for at in range(n):
        if at in missing:
            continue
        o, h, l, c = (bars or {}).get(at, (price(at),) * 4)  # noqa: E741
        stamp = START + (at + 1) * BAR - early_ns
        made.append(Bar(kind, *(instrument.make_price(p) for p in (o, h, l, c)), instrument.make_qty(1000), stamp, stamp))
    engine.add_data(made)
    signals = [CustomData(DataType(BacktestdSignal), from_record(r, r.get("kind", "signal"))) for r in records]
    engine.add_data(signals, client_id=CLIENT)
    strategy = BlueprintStrategy(
        BlueprintStrategyConfig(
            strategy_id="T-1", oms_type="HEDGING", blueprints=str(root), instruments=(NAME,), **({"size": "least"} | config)
        )
    )
    engine.add_strategy(strategy)
    engine.run()
    return strategy


def bars_of(trade: dict[str, Any]) -> tuple[int, int]:
    """Numbers of the entry and the exit bar."""
    return (trade["entry_ns"] - START) // BAR - 1, (trade["exit_bar_ns"] - START) // BAR - 1


@pytest.mark.parametrize("early_ns", [0, 1_000_000])
def test_a_trade_enters_at_the_close_of_the_bar_after_the_event_and_leaves_at_the_close_of_its_time(
    versions: Path, early_ns: int
) -> None:
    strategy = run(versions, [record(5), record(20, side="short")], early_ns=early_ns)
    assert [bars_of(t) for t in strategy.done] == [(6, 10), (21, 25)]
    assert strategy.done[0]["gross_bps"] == pytest.approx((price(10) / price(6) - 1) * 1e4)
    assert strategy.done[1]["gross_bps"] == pytest.approx(-(price(25) / price(21) - 1) * 1e4)


def test_a_gap_at_the_entry_is_no_trade_and_one_at_the_exit_the_next_bar(versions: Path) -> None:
    strategy = run(versions, [record(5), record(20)], missing=frozenset({6, 25, 26}))
    assert [bars_of(t) for t in strategy.done] == [(21, 27)]
    assert strategy.counts["no bar at the entry"] == 1


def test_the_cool_down_and_a_repeated_signal_open_nothing(versions: Path) -> None:
    strategy = run(versions, [record(5), record(5), record(8), record(9)])
    assert [bars_of(t) for t in strategy.done] == [(6, 10), (10, 14)]
    assert (strategy.counts["repeated"], strategy.counts["cooling down"]) == (1, 1)


def test_a_retracted_signal_is_not_traded(versions: Path) -> None:
    gone = {"kind": "retraction", "event_id": record(5)["event_id"], "timestamp_ns": START + 5 * BAR,
            "arrival_ns": START + 6 * BAR + BAR // 2}  # fmt: skip
    strategy = run(versions, [record(5), gone])
    assert strategy.done == []
    assert strategy.counts["retracted"] == 1


def test_a_signal_after_its_entry_is_late_and_one_of_an_unknown_convention_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, "v000001", [line()])
    publish(tmp_path, "v000002", [line(fill_convention="next_open/1")])
    late = record(5, arrival_ns=START + 8 * BAR + 1)
    strategy = run(tmp_path, [late, record(20, version="v000002")])
    assert strategy.done == []
    assert (strategy.counts["late"], strategy.counts["refused"]) == (1, 1)


def test_a_blueprint_that_is_retired_between_signal_and_entry_opens_nothing_where_versions_are_followed(
    versions: Path,
) -> None:
    publish(versions, "v000002", [line(status="retired")])
    assert run(versions, [record(5)], follow=True).counts["retired before the entry"] == 1
    assert len(run(versions, [record(5)]).done) == 1, "a backtest goes by the version of the signal"


def test_stops_and_targets_leave_inside_a_bar_and_not_on_the_entry_bar(tmp_path: Path) -> None:
    barrier = line()["exit"] | {
        "stop": {"bps": 200.0}, "target": {"bps": 300.0}, "intrabar_path": "OHLC", "stop_gap_fill": "open",
    }  # fmt: skip
    publish(tmp_path, "v000001", [line(exit=barrier)])
    flat = (100.0, 100.0, 100.0, 100.0)
    bars = {at: flat for at in range(40)}
    bars[6] = (100.0, 110.0, 90.0, 100.0)
    bars[8] = (100.0, 104.0, 97.0, 100.0)
    bars[22] = (95.0, 96.0, 94.0, 95.0)
    strategy = run(tmp_path, [record(5), record(20)], bars=bars)
    assert [(bars_of(t), t["reason"]) for t in strategy.done] == [((6, 8), "target"), ((21, 22), "stop")]
    assert strategy.done[0]["exit_price"] == pytest.approx(103.0), "the high comes first"
    assert strategy.done[1]["exit_price"] == pytest.approx(95.0), "the open has jumped over the stop"


def test_sizes_are_the_scale_of_the_signal_under_the_caps(versions: Path) -> None:
    wide = run(versions, [record(5)], size="blueprint", equity=10_000.0)
    assert wide.peak_gross == pytest.approx(0.5, abs=1e-3)
    capped = run(versions, [record(5)], size="blueprint", equity=10_000.0, max_gross=0.2)
    assert capped.peak_gross == pytest.approx(0.2, abs=1e-3)
    none = run(versions, [record(5)], size="blueprint", equity=10_000.0, max_symbol=0.0)
    assert none.counts["no room under the caps"] == 1


def test_state_is_saved_and_loaded(versions: Path) -> None:
    strategy = run(versions, [record(5), record(38)], n=40)
    assert len(strategy.pending) + len(strategy.open) == 1
    again = run(versions, [record(5)], n=1)
    again.on_load(strategy.on_save())
    assert (again.pending, again.open, again.cool_until) == (strategy.pending, strategy.open, strategy.cool_until)
    assert list(again.seen) == list(strategy.seen)
