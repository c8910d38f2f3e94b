"""A blueprint: the part of a line that a trader needs, checked at the door."""

from dataclasses import dataclass
from typing import Any

SCHEMA = "backtestd.blueprint/1"
# How positions are filled: entry at the close of bar (event + lag), time exit at the close of bar (entry + time stop); no bar
# at the entry: no trade; no bar at the exit: the next bar that there is. What is not listed here is not implemented here.
CONVENTIONS = frozenset({"close_lag_close/1"})
PATHS = (None, "OHLC", "adaptive")
BAR_NS = 300_000_000_000


class RefusedBlueprint(ValueError):
    """A line that this package must not trade: it would not do what the line says."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One published rule."""

    id: str
    revision: int
    rule_revision: int
    status: str
    event_type: str
    instruments: tuple[str, ...]
    bar_types: tuple[str, ...]
    entry_lag_bars: int
    cooldown_bars: int
    time_stop_bars: int
    stop_bps: float | None
    target_bps: float | None
    intrabar_path: str | None
    discovered_through_ns: int | None
    overlap_group: str | None
    primary: str
    line: dict[str, Any]

    @classmethod
    def from_line(cls, line: dict[str, Any]) -> "Blueprint":
        """Reads a line of ``blueprints.jsonl``; refuses what this package does not implement."""
        name = line.get("id", "a line without id")
        if line.get("schema") != SCHEMA:
            raise RefusedBlueprint(f"{name}: schema is {line.get('schema')!r}, this package reads {SCHEMA!r}")
        if line["fill_convention"] not in CONVENTIONS:
            raise RefusedBlueprint(
                f"{name}: fill_convention is {line['fill_convention']!r}, this package implements {sorted(CONVENTIONS)}"
            )
        entry, leave = line["entry"], line["exit"]
        if entry["bar"] != "5m" or entry["price"] != "close" or entry["entry_lag_bars"] < 1:
            raise RefusedBlueprint(f"{name}: entry is {entry}, this package enters at closes of 5m bars, one bar later or more")
        if leave["stop"] is not None and leave["stop_gap_fill"] != "open":
            raise RefusedBlueprint(f"{name}: stop_gap_fill is {leave['stop_gap_fill']!r}; NautilusTrader fills at the open")
        if leave["intrabar_path"] not in PATHS:
            raise RefusedBlueprint(f"{name}: intrabar_path is {leave['intrabar_path']!r}, this package knows {PATHS}")
        group = line.get("overlap_group")
        scope = line["symbol_scope"]
        return cls(
            id=line["id"],
            revision=line["revision"],
            rule_revision=line.get("rule_revision", 1),
            status=line["status"],
            event_type=line["event_type"],
            instruments=tuple(scope["instruments"]),
            bar_types=tuple(scope["bar_types"]),
            entry_lag_bars=entry["entry_lag_bars"],
            cooldown_bars=entry["cooldown_bars"],
            time_stop_bars=leave["time_stop_bars"],
            stop_bps=leave["stop"]["bps"] if leave["stop"] else None,
            target_bps=leave["target"]["bps"] if leave["target"] else None,
            intrabar_path=leave["intrabar_path"],
            discovered_through_ns=line["discovered_through_ns"],
            overlap_group=group["id"] if group else None,
            primary=group["primary"] if group else line["id"],
            line=line,
        )


def on_grid(ts_ns: int) -> int:
    """The close boundary that a bar's stamp stands for: live bars of Binance are stamped 1 ms before it."""
    return -(-ts_ns // BAR_NS) * BAR_NS
