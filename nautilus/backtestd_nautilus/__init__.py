"""Blueprints of backtestd in NautilusTrader: the same strategy code in backtest and live.

``BlueprintStore`` reads the versioned directory and checks every byte, ``BacktestdSignal`` is the one form of a signal,
``BlueprintStrategy`` trades it, ``SignalClient`` brings it from the daemon's socket, and ``reconcile`` holds what was filled
against what the daemon's own simulation says.
"""

from backtestd_nautilus.catalog import Catalog
from backtestd_nautilus.model import Blueprint, RefusedBlueprint
from backtestd_nautilus.reconcile import reconcile
from backtestd_nautilus.signal import BacktestdSignal, Trigger
from backtestd_nautilus.store import BlueprintStore, DamagedVersion
from backtestd_nautilus.strategy import BlueprintStrategy, BlueprintStrategyConfig

__all__ = [
    "BacktestdSignal",
    "Blueprint",
    "BlueprintStore",
    "BlueprintStrategy",
    "BlueprintStrategyConfig",
    "Catalog",
    "DamagedVersion",
    "RefusedBlueprint",
    "Trigger",
    "reconcile",
]
