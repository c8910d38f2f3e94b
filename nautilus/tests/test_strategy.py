"""The strategy in a real engine, on bars made by hand."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import BAR, NAME, START, line, publish, record
from nautilus_trader.model.data import Bar, BarType, CustomData, DataType, FundingRateUpdate

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
    bars: dict[int, tuple[float, float, float, float]] | None = None, n: int = 40,
    prints: list[tuple[int, float]] | None = None, adaptive: bool = False, **config: Any,
) -> BlueprintStrategy:  # fmt: skip
    """Runs the strategy over `n` bars; `early_ns` stamps them before the boundary, as live ones are."""
    instrument = compat.instrument_of(FACTS)
    engine = compat.backtest_engine([instrument], 1_000_000.0, adaptive_path=adaptive)
    kind = BarType.from_str(f"{NAME}-5-MINUTE-LAST-EXTERNAL")
    made = []
    for at in range(n):
        if at in missing:
            continue
        o, h, l, c = (bars or {}).get(at, (price(at),) * 4)  # noqa: E741
        stamp = START + (at + 1) * BAR - early_ns
        made.append(Bar(kind, *(instrument.make_price(p) for p in (o, h, l, c)), instrument.make_qty(1000), stamp, stamp))
    engine.add_data(made)
    if prints:
        engine.add_data([FundingRateUpdate(instrument.id, Decimal(str(rate)), at, at) for at, rate in prints], sort=False)
    signals = [CustomData(DataType(BacktestdSignal), from_record(r, r.get("kind", "signal"))) for r in records]
    engine.add_data(signals, client_id=CLIENT, sort=False)
    engine.sort_data()
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
    # Told, and by the bars: it was due at bar 25.
    assert strategy.counts["left late"] == 1
    assert strategy.done[0]["exit_due_ns"] == START + 26 * BAR


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


def test_a_stop_lies_on_the_tick_away_from_the_entry_and_a_bar_short_of_the_level_does_not_reach_it(tmp_path: Path) -> None:
    barrier = line()["exit"] | {"stop": {"bps": 203.0}, "intrabar_path": "OHLC", "stop_gap_fill": "open"}
    publish(tmp_path, "v000001", [line(exit=barrier)])
    bars = {at: (100.0, 100.0, 100.0, 100.0) for at in range(40)}
    # The level is 97.97 (102.03 of a short one): the nearest ticks are 98.0 and 102.0, and those are not beyond it.
    bars[8] = (100.0, 102.0, 98.0, 100.0)
    bars[23] = (100.0, 100.0, 97.9, 100.0)
    bars[33] = (100.0, 102.1, 100.0, 100.0)
    strategy = run(tmp_path, [record(5), record(20), record(30, side="short")], bars=bars)
    assert [(bars_of(t), t["reason"]) for t in strategy.done] == [((6, 10), "time"), ((21, 23), "stop"), ((31, 33), "stop")]
    assert [t["exit_price"] for t in strategy.done[1:]] == pytest.approx([97.9, 102.1])


def test_caps_on_net_and_on_a_family_cut_what_the_gross_cap_leaves(versions: Path) -> None:
    longs = [record(5), record(9)]
    wide = {"size": "blueprint", "equity": 10_000.0, "max_gross": 9.0, "max_symbol": 9.0, "max_net": 9.0, "max_family": 9.0}
    publish(versions, "v000002", [line(entry=line()["entry"] | {"cooldown_bars": 1})])
    pair = [r | {"version": "v000002", "canonical_family": "F", "event_id": f"E:{i}"} for i, r in enumerate([record(5), record(6)])]
    assert run(versions, pair, **wide).peak_gross > 0.9
    for cap in ("max_net", "max_family"):
        assert run(versions, pair, **wide | {cap: 0.6}).peak_gross == pytest.approx(0.6, abs=0.02), cap
    apart = [pair[0], pair[1] | {"canonical_family": "G"}]
    assert run(versions, apart, **wide | {"max_family": 0.6}).peak_gross > 0.9, "another family has room of its own"
    hedged = [pair[0], record(6, side="short") | {"version": "v000002", "event_id": "E:9"}]
    assert run(versions, hedged, **wide | {"max_net": 0.6}).peak_gross > 0.9, "a short one makes the net smaller"
    assert len(run(versions, longs, **wide).done) == 2


def test_of_an_overlap_group_one_position_is_open(tmp_path: Path) -> None:
    group = {"id": "og_1", "primary": "bp_0000000000000001"}
    loose = line()["entry"] | {"cooldown_bars": 1}
    ids = ("bp_0000000000000001", "bp_0000000000000002")
    publish(tmp_path, "v000001", [line(id=i, overlap_group=group, entry=loose) for i in ids])
    member = record(6)["blueprints"][0] | {"id": ids[1], "primary": ids[0], "overlap_group": "og_1", "why_not": ["member"]}
    signals = [record(5), record(6) | {"blueprints": [], "not_traded": [member]}]
    assert len(run(tmp_path, signals).done) == 1, "a member is not traded"
    both = run(tmp_path, signals, take=("member",))
    assert len(both.done) == 1
    assert both.counts["its group is in the market"] == 1


def test_watch_is_traded_where_it_is_asked_for_and_while_the_version_in_force_says_so(versions: Path) -> None:
    publish(versions, "v000002", [line(status="watch")])
    plain = record(5) | {"version": "v000002"}
    held = plain | {"blueprints": [], "not_traded": [plain["blueprints"][0] | {"why_not": ["watch"]}]}
    assert run(versions, [held]).done == []
    assert len(run(versions, [held], take=("watch",), follow=True).done) == 1


def test_a_damaged_version_is_said_and_the_one_before_stays_in_force(versions: Path) -> None:
    strategy = run(versions, [record(5), record(39)], follow=True)
    (waiting,) = strategy.pending
    publish(versions, "v000002", [line(status="retired")])
    lines = versions / "v000002" / "blueprints.jsonl"
    whole = lines.read_bytes()
    lines.write_bytes(whole + b"\n")
    assert strategy._still_stands(waiting)
    lines.write_bytes(whole)
    assert not strategy._still_stands(waiting)


def test_a_signal_of_a_version_that_cannot_be_used_opens_nothing(versions: Path) -> None:
    publish(versions, "v000002", [line()])
    (versions / "v000002" / "manifest.json").unlink()
    strategy = run(versions, [record(5) | {"version": "v000002"}, record(20) | {"version": "v000009"}])
    assert (strategy.done, strategy.counts) == ([], {"refused": 2})


def test_funding_is_booked_for_what_was_settled_strictly_inside_the_holding_time(versions: Path) -> None:
    at = lambda bar: START + (bar + 1) * BAR  # noqa: E731
    prints = [(at(6), 0.5), (at(8), 0.0001), (at(9) + 1_000_000, 0.0002), (at(10), 0.25)]
    strategy = run(versions, [record(5)], funding=True, prints=prints)
    assert strategy.done[0]["funding_bps"] == pytest.approx(3.0)
    short = run(versions, [record(5, side="short")], funding=True, prints=prints)
    assert short.done[0]["funding_bps"] == pytest.approx(-3.0)
    assert run(versions, [record(5)]).done[0]["funding_bps"] is None


def test_the_state_file_keeps_what_waits_over_a_restart_that_nobody_prepared(versions: Path, tmp_path: Path) -> None:
    state = str(tmp_path / "state.json")
    first = run(versions, [record(5)], n=6, state=state)
    assert [t.event_id for t in first.pending] == [record(5)["event_id"]]
    second = run(versions, [record(5)], state=state)
    assert [bars_of(t) for t in second.done] == [(6, 10)]
    assert second.counts["repeated"] == 1, "what came again is known"


@pytest.mark.parametrize(("up", "down", "is_wrong"), [(900.0, 500.0, False), (1500.0, 1000.0, True), (1000.0, 500.0, False)])
def test_the_engine_visits_extremes_in_the_wrong_order_where_its_integers_end(
    tmp_path: Path, up: float, down: float, is_wrong: bool
) -> None:
    barrier = line()["exit"] | {
        "stop": {"bps": 40.0}, "target": {"bps": 80.0}, "intrabar_path": "adaptive", "stop_gap_fill": "open",
    }  # fmt: skip
    publish(tmp_path, "v000001", [line(exit=barrier)])
    bars = {at: (100_000.0,) * 4 for at in range(40)}
    bars[8] = (100_000.0, 100_000.0 + up, 100_000.0 - down, 100_000.0)
    instrument = compat.instrument_of(FACTS)
    kind = BarType.from_str(f"{NAME}-5-MINUTE-LAST-EXTERNAL")
    bar = Bar(kind, *(instrument.make_price(p) for p in bars[8]), instrument.make_qty(1000), 0, 0)
    assert bool(compat.misordered([bar])) == is_wrong
    (trade,) = run(tmp_path, [record(5)], bars=bars, adaptive=True).done
    # The low is nearer to the open, so the stop should be met first.
    assert trade["reason"] == ("target" if is_wrong else "stop")
