"""One signal, in backtest and live. (No ``from __future__ import annotations``: the decorator reads the types.)"""

import json
from dataclasses import dataclass
from typing import Any

from nautilus_trader.core.data import Data
from nautilus_trader.model.custom import customdataclass
from nautilus_trader.model.identifiers import ClientId, InstrumentId

# Under this id signals are published and subscribed to.
CLIENT = ClientId("BACKTESTD")


@customdataclass
class BacktestdSignal(Data):
    """What the daemon announced. ``ts_event`` is the detection, ``ts_init`` when it was known here."""

    instrument_id: InstrumentId = InstrumentId.from_str("NONE.NONE")
    kind: str = "signal"
    """``signal``, ``retraction`` or ``blueprint_version``."""
    event_id: str = ""
    version: str = ""
    record: str = "{}"
    """The daemon's JSON, whole."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A blueprint that a signal may be traded under."""

    id: str
    revision: int
    side: int
    entry_at_ns: int
    exit_at_ns: int
    expires_ns: int
    scale: float
    """Notional over equity by the blueprint's own sizing."""
    primary: str
    """The blueprint that trades for its overlap group: one position for all of them."""
    why_not: tuple[str, ...] = ()


def from_record(record: dict[str, Any], kind: str = "signal", ts_init: int | None = None) -> BacktestdSignal:
    """A signal from the daemon's record, of the stream or of ``signals.jsonl``."""
    known_at = record.get("detected_ns") or record.get("timestamp_ns") or record.get("published_at_ns") or 0
    return BacktestdSignal(
        ts_event=known_at,
        ts_init=ts_init if ts_init is not None else max(known_at, record.get("arrival_ns") or 0),
        instrument_id=InstrumentId.from_str(record.get("instrument") or "NONE.BACKTESTD"),
        kind=kind,
        event_id=record.get("event_id") or "",
        version=record.get("version") or "",
        record=json.dumps(record, sort_keys=True, separators=(",", ":")),
    )


def triggers(signal: BacktestdSignal, take: frozenset[str] = frozenset()) -> list[Trigger]:
    """The blueprints that a signal is traded under. What the daemon says is not to be traded is left out, unless ``take``
    names every reason: ``in_sample``, ``member``, ``watch``, ``late``."""
    record = json.loads(signal.record)
    held = [t for t in record.get("not_traded", ()) if take.issuperset(t["why_not"])]
    return [
        Trigger(
            id=t["id"],
            revision=t["revision"],
            side=1 if t["side"] == "long" else -1,
            entry_at_ns=t["entry_at_ns"],
            exit_at_ns=t["exit_at_ns"],
            expires_ns=t["expires_ns"],
            scale=t["scale"],
            primary=t["primary"],
            why_not=tuple(t.get("why_not", ())),
        )
        for t in [*record.get("blueprints", ()), *held]
    ]
