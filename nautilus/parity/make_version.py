"""A version made by hand: one rule for each of many event types, so that there is much to trade and nothing to discover.

    python parity/make_version.py --like data/demo/blueprints --out hand/blueprints [--stop 120 --target 150] [--adaptive]

Called again with `--number 2 --retire 2` it publishes the next version into the same directory, as the daemon does: whole under
its name first, then in force by one rename. Every second rule is retired in it, and the others have another revision.
"""

import argparse
import hashlib
import json
import os
from pathlib import Path

EVENTS = {
    "VOL_SPIKE": 12, "VOL_SHOCK": 12, "TREND_EXHAUSTION_TRIGGER": 12, "RANGE_BREAKOUT": 6, "ZSCORE_STRETCH": 12,
    "OVERSHOOT_AFTER_SHOCK": 12, "PULLBACK_PIVOT": 6, "FALSE_BREAKOUT": 3, "BAND_BREAK": 12, "CLIMAX_VOLUME_BAR": 12,
    "TREND_ACCELERATION": 48, "SUPPORT_RESISTANCE_BREAK": 12, "MOMENTUM_DIVERGENCE_TRIGGER": 12, "SWEEP_STOPRUN": 6,
    "BETA_SPIKE_EVENT": 12, "SESSION_OPEN_EVENT": 12,
}  # fmt: skip
SYMBOLS = ["BNBUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
IDENTITY = ["condition", "direction_rule", "event_type"]


def canonical(value: dict) -> str:
    """One spelling, as the daemon's."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def line(like: dict, at: int, event: str, bars: int, args: argparse.Namespace) -> dict:
    """A rule on an event type."""
    is_retired = args.retire is not None and at % args.retire == 0
    out = json.loads(json.dumps(like))
    instruments = [f"{s}-PERP.BINANCE" for s in SYMBOLS]
    out |= {
        "event_type": event, "condition": "all", "state_id": "", "direction_rule": "follow",
        "status": "retired" if is_retired else "active", "status_reason": "retired by hand" if is_retired else None,
        "overlap_group": None, "discovered_through_ns": 0, "revision": args.number, "rule_revision": args.number,
        "bar_type": f"{instruments[0]}-5-MINUTE-LAST-EXTERNAL",
    }  # fmt: skip
    out["symbol_scope"] = {
        "mode": "multi_symbol", "symbols": SYMBOLS, "instruments": instruments, "n_by_symbol": {},
        "bar_types": [f"{i}-5-MINUTE-LAST-EXTERNAL" for i in instruments],
    }  # fmt: skip
    out["entry"] |= {"trigger": event, "conditions": [], "cooldown_bars": bars, "entry_lag_bars": 1, "price": "close"}
    barred = args.stop or args.target
    out["exit"] |= {
        "time_stop_bars": bars, "horizon": "1d" if bars == 288 else f"{bars * 5}m",
        "stop": {"bps": args.stop} if args.stop else None, "target": {"bps": args.target} if args.target else None,
        "intrabar_path": ("adaptive" if args.adaptive else "OHLC") if barred else None,
        "stop_gap_fill": "open" if barred else None,
    }  # fmt: skip
    identity = {name: out[name] for name in IDENTITY} | {
        "entry_lag_bars": 1, "entry_price": "close", "horizon_bars": bars, "symbol_scope_mode": "multi_symbol",
        "symbols": SYMBOLS,
    }  # fmt: skip
    out["id"] = "bp_" + hashlib.sha256(canonical(identity).encode()).hexdigest()[:16]
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--like", required=True, help="a directory with a version to take manifest and one line from")
    parser.add_argument("--out", required=True)
    parser.add_argument("--stop", type=float)
    parser.add_argument("--target", type=float)
    parser.add_argument("--adaptive", action="store_true")
    parser.add_argument("--spec", type=Path, help="a rule on every event type of these specs, for an hour each")
    parser.add_argument("--number", type=int, default=1, help="number of the version")
    parser.add_argument("--retire", type=int, help="retire every so manieth rule")
    args = parser.parse_args()
    current = Path(args.like) / "current"
    like = json.loads((current / "blueprints.jsonl").read_text().splitlines()[0])
    manifest = json.loads((current / "manifest.json").read_text())
    events = {path.stem.upper(): 12 for path in (args.spec / "events").glob("*.yaml")} if args.spec else EVENTS
    lines = sorted((line(like, at, event, bars, args) for at, (event, bars) in enumerate(sorted(events.items()))), key=lambda entry: entry["id"])
    data = "".join(canonical(entry) + "\n" for entry in lines).encode()
    retired = sum(entry["status"] == "retired" for entry in lines)
    name = f"v{args.number:06}"
    manifest |= {
        "version": name, "parent": f"v{args.number - 1:06}" if args.number > 1 else None, "added": [], "changed": [],
        "retired": [], "reasons": [], "departed": {}, "published_at_ns": manifest["published_at_ns"] + args.number - 1,
        "counts": {"total": len(lines), "active": len(lines) - retired, "watch": 0, "retired": retired},
        "files": {"blueprints.jsonl": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": len(lines)}},
    }  # fmt: skip
    out = Path(args.out)
    folder = out / f".new-{name}"
    folder.mkdir(parents=True)
    (folder / "blueprints.jsonl").write_bytes(data)
    (folder / "manifest.json").write_text(canonical(manifest) + "\n")
    os.rename(folder, out / name)
    link = out / ".new-current"
    link.symlink_to(name)
    os.rename(link, out / "current")


if __name__ == "__main__":
    main()
