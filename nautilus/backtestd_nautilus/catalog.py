"""What ``backtestd export nautilus`` wrote, ready for an engine. Fails loudly on nothing: an engine that is given nothing
runs, and says nothing."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.model.data import Bar, CustomData, DataType, FundingRateUpdate
from nautilus_trader.model.instruments import Instrument

from backtestd_nautilus import compat
from backtestd_nautilus.model import BAR_NS
from backtestd_nautilus.signal import CLIENT, BacktestdSignal, from_record


class Catalog:
    """A catalog folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.own = self.path / "backtestd"
        if not (self.own / "instruments.json").is_file():
            raise FileNotFoundError(f"{self.own}/instruments.json is missing; run `backtestd export nautilus --out {self.path}`")
        layout = json.loads((self.own / "catalog.json").read_bytes()).get("layout", compat.LAYOUT)
        if layout != compat.LAYOUT:
            # The reader of one layout finds nothing in the other, and does not say so.
            raise ValueError(f"{self.path} has the layout {layout}; this NautilusTrader reads {compat.LAYOUT}: export into another folder")
        self.data = compat.catalog_of(str(self.path))

    def instruments(self, market: str = "perp") -> list[Instrument]:
        """The instruments of a market."""
        facts = json.loads((self.own / "instruments.json").read_bytes())
        return [compat.instrument_of(f) for f in facts if f["market"] == market]

    def write_instruments(self) -> int:
        """Writes the instruments into the catalog itself, which the node of NautilusTrader reads them from."""
        every = [*self.instruments("perp"), *self.instruments("spot")]
        known = {i.id for i in self.data.instruments()}
        new = [i for i in every if i.id not in known]
        if new:
            self.data.write_data(new)
        return len(every)

    def bars(self, instrument: Instrument) -> list[Bar]:
        """The bars of an instrument, each once, on the grid."""
        bars = self.data.bars(bar_types=[f"{instrument.id}-5-MINUTE-LAST-EXTERNAL"])
        if not bars:
            raise ValueError(f"{self.path}: no bars of {instrument.id}")
        for before, bar in zip(bars, bars[1:], strict=False):
            if bar.ts_event <= before.ts_event:
                raise ValueError(f"{self.path}: bars of {instrument.id} are not in order at {bar.ts_event}")
        if any(bar.ts_event % BAR_NS for bar in bars):
            raise ValueError(f"{self.path}: bars of {instrument.id} are not on the five-minute grid")
        return bars

    def funding(self, instrument: Instrument) -> list[FundingRateUpdate]:
        """The settlements of an instrument."""
        return self.data.funding_rates(instrument_ids=[str(instrument.id)])

    def lines(self, name: str) -> list[dict]:
        """The lines of a file beside the catalog."""
        path = self.own / name
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: there was no version of blueprints when the catalog was exported")
        return [json.loads(line) for line in path.read_bytes().splitlines()]

    def signals(self) -> list[BacktestdSignal]:
        """What was, or would have been, announced of each detection, in order."""
        signals = [from_record(line) for line in self.lines("signals.jsonl")]
        return sorted(signals, key=lambda s: (s.ts_init, s.event_id))

    def feed(self, engine: BacktestEngine, instruments: Iterable[Instrument], *, funding: bool = False) -> dict[str, int]:
        """Gives an engine the bars of its instruments and every signal of them; says how many of each."""
        counts = {"bars": 0, "funding": 0, "signals": 0}
        ids = set()
        for instrument in instruments:
            ids.add(instrument.id)
            bars = self.bars(instrument)
            engine.add_data(bars, sort=False)
            counts["bars"] += len(bars)
            if funding and (prints := self.funding(instrument)):
                engine.add_data(prints, sort=False)
                counts["funding"] += len(prints)
        signals = [s for s in self.signals() if s.instrument_id in ids]
        if not signals:
            raise ValueError(f"{self.own}/signals.jsonl has no signal of these instruments")
        # Without the wrapper custom data is delivered to nobody, without an error.
        wrapped = [CustomData(DataType(BacktestdSignal), s) for s in signals]
        engine.add_data(wrapped, client_id=CLIENT, sort=False)
        counts["signals"] = len(signals)
        engine.sort_data()
        return counts
