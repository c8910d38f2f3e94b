"""A lake with holes: of every month of perpetual bars a few in a hundred are left out, and stretches of hours; others stand
still without a trade, as they do while the exchange is halted.

    python parity/make_gaps.py data/demo/lake/raw/perp out
"""

import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HALT = 24
HOLE = 60


def main() -> None:
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    for path in sorted(source.glob("*/5m/ohlcv/**/*.parquet")):
        rows = pq.read_table(path).to_pylist()
        draw = random.Random(str(path.relative_to(source)))  # noqa: S311 - a fixed pattern is wanted
        missing = {i for i in range(len(rows)) if draw.random() < 0.03}
        for _ in range(2):
            start = draw.randrange(max(1, len(rows) - HOLE))
            missing |= set(range(start, start + HOLE))
        start = draw.randrange(1, max(2, len(rows) - HALT))
        for row in rows[start : start + HALT]:
            price = rows[start - 1]["close"]
            row |= dict.fromkeys(("open", "high", "low", "close"), price)
            row |= {k: 0 * row[k] for k in row if k in ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")}
        kept = [row for i, row in enumerate(rows) if i not in missing]
        target = out / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(kept, schema=pq.read_schema(path).remove_metadata()), target)


if __name__ == "__main__":
    main()
