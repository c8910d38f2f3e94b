"""What was filled against what the daemon's own simulation of the same blueprints says, trade by trade."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any


# What the daemon's account calls the reasons for which the strategy places no order.
WHY = {
    "risk_unknown": "risk unknown",
    "no_room": "no room under the caps",
    "below_step": "less than a step",
    "below_min_notional": "less than the least order",
}


@dataclass
class Report:
    """The comparison."""

    compared: int = 0
    equal: int = 0
    largest_bps: float = 0.0
    differences: list[str] = field(default_factory=list)
    explained: dict[str, int] = field(default_factory=dict)
    funding: int = 0
    """Trades whose funding was compared."""
    settled: int = 0
    """Those of them that met a settlement."""
    largest_funding_bps: float = 0.0
    sized: int = 0
    """Trades whose quantity, prices and gain were compared."""
    largest_gain: float = 0.0
    """Largest difference of a gain of the price, quote currency."""
    not_placed: int = 0
    """Orders that both sides did not place, for the same reason."""

    @property
    def ok(self) -> bool:
        """Whether every trade was compared and equal, or its absence explained."""
        return not self.differences

    def compare_funding(self, key: tuple[str, str], got: float | None, want: float | None, tolerance_bps: float) -> None:
        """Compares what was paid at settlements."""
        if got is None or want is None:
            return
        self.funding += 1
        self.settled += want != 0.0
        self.largest_funding_bps = max(self.largest_funding_bps, abs(got - want))
        if abs(got - want) > tolerance_bps:
            self.differences.append(f"{key[0]} {key[1]}: funding {got} for {want} bps")

    def compare_size(self, key: tuple[str, str], got: dict[str, Any], want: dict[str, Any]) -> bool:
        """Compares what was traded in quote currency, where the other side is an account."""
        if "quantity" not in want:
            return True
        self.sized += 1
        wrong = [f for f in ("quantity", "entry_price", "exit_price") if abs(got[f] / want[f] - 1.0) > 1e-9]
        self.differences += [f"{key[0]} {key[1]}: {f} {got[f]} for {want[f]}" for f in wrong]
        apart = abs(got["price"] - want["price"])
        self.largest_gain = max(self.largest_gain, apart)
        # The engine rounds each fill to the eighth decimal of the currency.
        if apart > 1e-6 * max(1.0, want["notional"]):
            self.differences.append(f"{key[0]} {key[1]}: a gain of {got['price']} for {want['price']}")
            return False
        return not wrong

    def text(self) -> str:
        """The table that is printed."""
        lines = [f"{self.compared} trades compared, {self.equal} equal, largest difference {self.largest_bps:.2e} bps"]
        if self.funding:
            lines.append(
                f"  funding: {self.funding} compared, {self.settled} of them met a settlement, "
                f"largest difference {self.largest_funding_bps:.2e} bps"
            )
        if self.sized or self.not_placed:
            lines.append(
                f"  account: {self.sized} quantities, prices and gains compared, largest difference of a gain {self.largest_gain:.2e}; "
                f"{self.not_placed} orders not placed on both sides"
            )
        lines += [f"  explained: {n} {why}" for why, n in sorted(self.explained.items())]
        lines += [f"  DIFFERS  {d}" for d in self.differences[:50]]
        if len(self.differences) > 50:
            lines.append(f"  and {len(self.differences) - 50} more")
        return "\n".join(lines)


def reconcile(
    filled: Iterable[dict[str, Any]],
    expected: Iterable[dict[str, Any]],
    *,
    last_bar_ns: dict[str, int],
    open_events: Iterable[tuple[str, str]] = (),
    tolerance_bps: float = 1e-6,
    tick_bps: dict[str, float] | None = None,
    misordered: Container[tuple[str, int]] = frozenset(),
    not_placed: dict[tuple[str, str], str] | None = None,
) -> Report:
    """Compares by (blueprint, event). ``last_bar_ns`` is the last bar of each instrument that the engine was given: what
    leaves later was still open. A stop or target is filled on the tick: ``tick_bps`` is what one tick is at most. ``misordered`` are bars whose extremes the
    engine visits in the wrong order (``compat.misordered``). Funding is compared where both sides know it. Lines of ``backtestd
    simulate --trades`` have quantities, which are compared too, and orders that were not placed: ``not_placed`` says which our
    side did not place, and why."""
    ours = {(t["blueprint_id"], t["event_id"]): t for t in filled}
    # Bars in which a target was filled, and how many.
    targets: dict[tuple[str, int], int] = {}
    for trade in ours.values():
        if trade["reason"] == "target":
            place = (trade["instrument"], trade["exit_bar_ns"])
            targets[place] = targets.get(place, 0) + 1
    theirs = {(t["blueprint_id"], t["event_id"]): t for t in expected}
    refused = {key: theirs.pop(key) for key in list(theirs) if "not_placed" in theirs[key]}
    still_open = set(open_events)
    report = Report()

    def explain(why: str) -> None:
        report.explained[why] = report.explained.get(why, 0) + 1

    for key, want in sorted(refused.items()):
        why = (not_placed or {}).get(key)
        if why == WHY[want["not_placed"]]:
            report.not_placed += 1
        else:
            report.differences.append(f"{key[0]} {key[1]}: not to be placed ({want['not_placed']}), here {why or 'placed'}")
    for key, want in sorted(theirs.items()):
        if key in (not_placed or {}):
            report.differences.append(f"{key[0]} {key[1]}: to be placed, here {(not_placed or {})[key]}")
            continue
        got = ours.pop(key, None)
        if got is None:
            if key in still_open or want["exit_bar_ns"] > last_bar_ns.get(want["instrument"], 0):
                explain("still open at the last bar")
            else:
                report.differences.append(f"{key[0]} {key[1]}: expected {want['side']} from {want['entry_ns']}, not traded")
            continue
        report.compared += 1
        slack = tolerance_bps
        if want["reason"] != "time" and tick_bps:
            slack = tick_bps.get(want["instrument"], 0.0)
        apart = abs(got["gross_bps"] - want["gross_bps"])
        wrong = [f for f in ("side", "entry_ns", "exit_bar_ns", "reason") if got[f] != want[f]]
        place = (want["instrument"], want["exit_bar_ns"])
        is_passed_over = want["reason"] == "target" and targets.get(place, 0) > 0
        if wrong and is_passed_over:
            # NautilusTrader 1.231 stays at the price of the first target that a bar's extreme fills: targets of other positions
            # beyond it, which the same bar reaches, are passed over.
            report.compared -= 1
            explain("target passed over by the engine: another one of the instrument was filled in that bar")
        elif wrong == ["reason"] and "time" not in (got["reason"], want["reason"]) and place in misordered:
            report.compared -= 1
            explain("extremes visited in the wrong order by the engine: one of them is too far from the open for its integers")
        elif wrong or apart > slack:
            what = ", ".join(f"{f} {got[f]} for {want[f]}" for f in wrong) or f"gross {got['gross_bps']} for {want['gross_bps']} bps"
            report.differences.append(f"{key[0]} {key[1]}: {what}")
        elif report.compare_size(key, got, want):
            report.equal += 1
            report.largest_bps = max(report.largest_bps, apart)
            report.compare_funding(key, got.get("funding_bps"), want.get("funding_bps"), tolerance_bps)
    report.differences += [f"{b} {e}: traded, but not expected" for b, e in sorted(ours)]
    return report
