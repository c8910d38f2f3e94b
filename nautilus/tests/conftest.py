"""A version on disk and a market to trade it in."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

BAR = 300_000_000_000
START = 1_735_689_600_000_000_000 // BAR * BAR
NAME = "BTCUSDT-PERP.BINANCE"


def line(**changes: Any) -> dict[str, Any]:
    """A line of ``blueprints.jsonl`` with what the package reads."""
    out: dict[str, Any] = {
        "schema": "backtestd.blueprint/1",
        "id": "bp_0000000000000001",
        "revision": 2,
        "rule_revision": 1,
        "status": "active",
        "event_type": "VOL_SPIKE",
        "symbol_scope": {"symbols": ["BTCUSDT"], "instruments": [NAME], "bar_types": [f"{NAME}-5-MINUTE-LAST-EXTERNAL"]},
        "entry": {"bar": "5m", "price": "close", "entry_lag_bars": 1, "cooldown_bars": 4, "conditions": []},
        "exit": {"time_stop_bars": 4, "stop": None, "target": None, "intrabar_path": None, "stop_gap_fill": None},
        "fill_convention": "close_lag_close/1",
        "discovered_through_ns": 0,
        "overlap_group": None,
    }
    return out | changes


def publish(root: Path, name: str, lines: list[dict[str, Any]], published_at_ns: int = 0) -> None:
    """A version as the daemon publishes it."""
    folder = root / name
    folder.mkdir(parents=True)
    data = b"".join(json.dumps(entry, sort_keys=True).encode() + b"\n" for entry in lines)
    (folder / "blueprints.jsonl").write_bytes(data)
    manifest = {
        "schema": "backtestd.blueprint_manifest/1",
        "version": name,
        "published_at_ns": published_at_ns,
        "files": {
            "blueprints.jsonl": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": len(lines)}
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    link = root / "current"
    link.unlink(missing_ok=True)
    link.symlink_to(name)


def record(bar: int, side: str = "long", **changes: Any) -> dict[str, Any]:
    """A signal of the event on a bar, as the daemon writes it."""
    detected = START + (bar + 1) * BAR
    trigger = {
        "id": "bp_0000000000000001",
        "revision": 2,
        "rule_revision": 1,
        "side": side,
        "entry_lag_bars": 1,
        "entry_at_ns": detected + BAR,
        "exit_at_ns": detected + 5 * BAR,
        "expires_ns": detected + 240_000_000_000,
        "scale": 0.5,
        "overlap_group": None,
        "primary": "bp_0000000000000001",
    }
    out = {
        "event_id": f"VOL_SPIKE:BTCUSDT:{bar}",
        "instrument": NAME,
        "version": "v000001",
        "detected_ns": detected,
        "arrival_ns": detected,
        "blueprints": [trigger],
        "not_traded": [],
    }
    return out | changes


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """A directory with one version of one blueprint."""
    root = tmp_path / "blueprints"
    publish(root, "v000001", [line()], published_at_ns=1_000)
    return root
