"""NautilusTrader 1.x."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, DataType
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual, CurrencyPair, Instrument
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog


# The layout of `backtestd export nautilus` that this version reads.
LAYOUT = "nautilus-v1"


def instrument_of(facts: dict[str, Any]) -> Instrument:
    """An instrument from a line of ``instruments.json``."""
    base, quote = (Currency.from_str(facts[side], strict=False) for side in ("base", "quote"))
    least = facts["min_notional"]
    common: dict[str, Any] = {
        "instrument_id": InstrumentId.from_str(facts["instrument_id"]),
        "raw_symbol": Symbol(facts["symbol"]),
        "base_currency": base,
        "quote_currency": quote,
        "price_precision": facts["price_precision"],
        "size_precision": facts["size_precision"],
        "price_increment": Price.from_str(facts["price_increment"]),
        "size_increment": Quantity.from_str(facts["size_increment"]),
        "min_notional": Money(Decimal(least), quote) if least is not None else None,
        "maker_fee": Decimal(facts["maker_fee"]),
        "taker_fee": Decimal(facts["taker_fee"]),
        "ts_event": 0,
        "ts_init": 0,
    }
    if facts["market"] == "spot":
        return CurrencyPair(**common)
    return CryptoPerpetual(
        **common, settlement_currency=quote, is_inverse=False, margin_init=Decimal("0.02"), margin_maint=Decimal("0.01")
    )


def catalog_of(path: str) -> ParquetDataCatalog:
    """The catalog at a path."""
    return ParquetDataCatalog(path)


def write_custom(catalog: ParquetDataCatalog, data: list[Any]) -> None:
    """Custom data into the catalog, replacing what is there of its type and time."""
    catalog.write_data(data)


def backtest_engine(
    instruments: list[Instrument], equity: float, *, adaptive_path: bool = False, log_level: str = "ERROR"
) -> BacktestEngine:
    """An engine with one hedging margin account. Fees are the instruments'; no latency model: with bars it would move a
    fill to the next bar."""
    engine = BacktestEngine(
        BacktestEngineConfig(trader_id="BACKTESTD-001", logging=LoggingConfig(log_level=log_level))
    )
    engine.add_venue(
        venue=Venue("BINANCE"),
        oms_type=OmsType.HEDGING,
        account_type=AccountType.MARGIN,
        base_currency=None,
        starting_balances=[Money(Decimal(str(equity)), USDT)],
        default_leverage=Decimal(20),
        bar_execution=True,
        bar_adaptive_high_low_ordering=adaptive_path,
    )
    for instrument in instruments:
        engine.add_instrument(instrument)
    return engine


def misordered(bars: Iterable[Bar]) -> set[tuple[str, int]]:
    """Bars whose extremes the adaptive path visits in the wrong order, by instrument and close. 1.231 compares the distances of
    the extremes from the open as integers of 64 bits, and a price has 16 decimals: more than 922.337 wraps around."""
    wrapped = lambda x: abs((x + 2**63) % 2**64 - 2**63)  # noqa: E731
    out = set()
    for bar in bars:
        up, down = bar.high.raw - bar.open.raw, bar.open.raw - bar.low.raw
        if (wrapped(up) < wrapped(down)) != (up < down):
            out.add((str(bar.bar_type.instrument_id), bar.ts_event))
    return out


def data_type(cls: type) -> DataType:
    """The type under which custom data is subscribed to."""
    return DataType(cls)
