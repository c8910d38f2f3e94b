"""Backtest the blueprints of a version over an exported catalog, and hold every trade against the daemon's own simulation.

    backtestd demo
    backtestd export nautilus --out catalog --state state/demo --data-root data/demo
    python examples/backtest.py --catalog catalog --blueprints data/demo/blueprints
"""

import argparse
import json
import sys
import time
from pathlib import Path

from backtestd_nautilus import BlueprintStrategy, BlueprintStrategyConfig, Catalog, compat, reconcile
from backtestd_nautilus.reconcile import WHY


class Fates(BlueprintStrategy):
    """Remembers which orders it did not place."""

    def __init__(self, config: BlueprintStrategyConfig) -> None:
        super().__init__(config)
        self.not_placed: dict[tuple[str, str], str] = {}

    def count(self, what: str, event_id: str, blueprint: str = "") -> None:
        super().count(what, event_id, blueprint)
        if what in WHY.values():
            self.not_placed[blueprint, event_id] = what


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", default="catalog")
    parser.add_argument("--blueprints", default="data/demo/blueprints")
    parser.add_argument("--take", default="in_sample", help="kinds of held-back signals to trade too, separated by commas")
    parser.add_argument("--size", default="least", choices=["least", "blueprint"])
    parser.add_argument("--equity", type=float, default=100_000.0, help="what sizes are shares of")
    parser.add_argument("--uncapped", action="store_true", help="with --size blueprint: no caps")
    parser.add_argument(
        "--account",
        help="with --size blueprint --uncapped: hold quantities, prices and gains against the file that "
        "`backtestd simulate --uncapped --equity AMOUNT --trades FILE` wrote",
    )
    parser.add_argument("--adaptive", action="store_true", help="bars visit the nearer extreme first")
    args = parser.parse_args()
    take = tuple(kind for kind in args.take.split(",") if kind)

    catalog = Catalog(args.catalog)
    instruments = catalog.instruments()
    engine = compat.backtest_engine(instruments, 10_000_000.0, adaptive_path=args.adaptive)
    counts = catalog.feed(engine, instruments, funding=True)
    caps = dict.fromkeys(("max_gross", "max_symbol", "max_net", "max_family"), 1e12) if args.uncapped else {}
    strategy = Fates(
        BlueprintStrategyConfig(
            strategy_id="BLUEPRINTS-001",
            oms_type="HEDGING",
            blueprints=args.blueprints,
            instruments=tuple(str(i.id) for i in instruments),
            take=take,
            size=args.size,
            equity=args.equity,
            **caps,
            funding=counts["funding"] > 0,
        )
    )
    engine.add_strategy(strategy)
    started = time.monotonic()
    engine.run()
    print(f"fed {counts}; ran {time.monotonic() - started:.1f} s")
    print(f"signals {strategy.counts}")
    if "in_sample" in take:
        print("in-sample events are traded: this checks the mechanics and is no evidence")
    last = {str(i.id): engine.cache.bar(engine.cache.bar_types(instrument_id=i.id)[0]).ts_event for i in instruments}
    allowed = frozenset(take)
    if args.account:
        expected = [json.loads(line) for line in Path(args.account).read_text().splitlines()]
    else:
        expected = [t for t in catalog.lines("trades.jsonl") if t["is_traded"] or "member" in allowed]
    tick = {
        str(i.id): 2e4 * float(i.price_increment) / min(t["entry_price"] for t in strategy.done if t["instrument"] == str(i.id))
        for i in instruments
        if any(t["instrument"] == str(i.id) for t in strategy.done)
    }
    if args.size == "blueprint" and not args.account:
        total = engine.portfolio.analyzer.total_pnl()
        print(f"{len(strategy.done)} trades, pnl {total:.2f}, peak gross exposure {strategy.peak_gross:.2f} x equity")
        return 0
    report = reconcile(
        strategy.done,
        expected,
        last_bar_ns=last,
        open_events=[(t.blueprint, t.event_id) for t in strategy.open + strategy.pending],
        tick_bps=None if args.account else tick,
        not_placed=strategy.not_placed,
        misordered=compat.misordered(b for i in instruments for b in catalog.bars(i)) if args.adaptive else frozenset(),
    )
    print(report.text())
    return 0 if report.ok else 3


if __name__ == "__main__":
    sys.exit(main())
