"""What differs between majors of NautilusTrader, behind one name. 2.x has other entry points and another catalog; its part
goes beside ``v1`` and is chosen here."""

from importlib.metadata import version

NAUTILUS = version("nautilus_trader")
if not NAUTILUS.startswith("1."):
    raise ImportError(
        f"nautilus_trader {NAUTILUS} is installed; this package is written for 1.231.0: pip install nautilus_trader==1.231.0"
    )

from backtestd_nautilus.compat.v1 import (  # noqa: E402
    LAYOUT,
    backtest_engine,
    catalog_of,
    instrument_of,
    misordered,
    write_custom,
)

__all__ = ["LAYOUT", "NAUTILUS", "backtest_engine", "catalog_of", "instrument_of", "misordered", "write_custom"]
