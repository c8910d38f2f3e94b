#!/usr/bin/env python3
"""Cuts the extracts of this folder out of the large recordings: cut.py RECORDINGS, with pandas and pyarrow.

No value is changed: whole files are copied, lines and rows are chosen, bodies are compressed. Prints what INDEX.md keeps
under "Files": sha256, rows (lines, messages or entries) and path of everything but the cases.
"""

import gzip
import hashlib
import json
import shutil
import sys
import zipfile
from pathlib import Path

import pandas as pd

SOURCE, HERE = Path(sys.argv[1]), Path(__file__).resolve().parent
KLINES, METRICS = "archive/futures/um/monthly/klines", "archive/futures/um/daily/metrics"
SPOT = "archive/spot/{}/klines/BTCUSDT/1m/BTCUSDT-1m-{}.zip"


def copy(path):
    target = HERE / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SOURCE / path, target)


def write(path, lines):
    """Lines as a plain, gzipped or zipped file by its ending; the same bytes each time."""
    target, data = HERE / path, "".join(lines).encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.endswith(".gz"):
        data = gzip.compress(data, 9, mtime=0)
    if path.endswith(".zip"):
        with zipfile.ZipFile(target, "w") as out:
            out.writestr(zipfile.ZipInfo(target.stem + ".csv"), data, zipfile.ZIP_DEFLATED, 9)
    else:
        target.write_bytes(data)


def lines(path):
    if path.endswith(".zip"):
        with zipfile.ZipFile(SOURCE / path) as archive:
            data = archive.read(archive.namelist()[0])
    else:
        data = (SOURCE / path).read_bytes()
    return (gzip.decompress(data) if path.endswith(".gz") else data).decode().splitlines(keepends=True)


def frame(path, column, first, last, symbol=None):
    """Rows of a parquet table whose time is in [first, last)."""
    table = pd.read_parquet(SOURCE / path)
    keep = (table[column] >= pd.Timestamp(first, tz="UTC")) & (table[column] < pd.Timestamp(last, tz="UTC"))
    return table[keep & (True if symbol is None else table.symbol == symbol)]


def save(table, path):
    (HERE / path).parent.mkdir(parents=True, exist_ok=True)
    table.reset_index(drop=True).to_parquet(HERE / path, compression="zstd", compression_level=19)


def archive():
    for symbol in ["BTCUSDT", "SOLUSDT"]:
        copy(f"{KLINES}/{symbol}/5m/{symbol}-5m-2025-01.zip")
        for day in range(1, 32):
            copy(f"{METRICS}/{symbol}/{symbol}-metrics-2025-01-{day:02}.zip")
    for day in ["2024-02-16", "2024-03-03", "2024-03-04", "2025-04-15"]:
        copy(f"{METRICS}/BTCUSDT/BTCUSDT-metrics-{day}.zip")
    copy(SPOT.format("daily", "2020-01-01"))
    march = lines(SPOT.format("monthly", "2026-03"))
    write(SPOT.format("daily", "2026-03-01"), march[:1440])


def frames():
    name = "frames/perp_BTCUSDT_5m_ohlcv_{}.parquet"
    save(frame(name.format("2025_2026"), "timestamp", "2025-01-30", "2025-02-04"), name.format("2025_01_30"))
    name = "frames/spot_BTCUSDT_5m_ohlcv_{}.parquet"
    save(frame(name.format("2025_2026"), "timestamp", "2025-09-05", "2025-09-21 00:45"), name.format("2025_09_05"))
    name = "frames/mark_SOLUSDT_1h_{}.parquet"
    save(frame(name.format("2025_2026"), "timestamp", "2025-01-01", "2025-01-03"), name.format("2025_01"))
    windows = {"BTCUSDT": ("2024-12-31", "2025-02-01"), "SOLUSDT": ("2024-12-31", "2025-02-01")}
    windows |= {"ORCAUSDT": ("2025-03-15", "2025-04-20"), "PIPPINUSDT": ("2026-01-30", "2026-02-05")}
    windows |= {"RIVERUSDT": ("2026-01-10", "2026-01-25")}
    funding = "frames/perp_funding_16_symbols_2025_2026.parquet"
    parts = [frame(funding, "funding_time", first, last, s) for s, (first, last) in windows.items()]
    save(pd.concat(parts), "frames/perp_funding_5_symbols.parquet")


def streams():
    # Local receive times; the recorder's clock was 1.27 s behind, so the bar of 23:55 begins at second 58.73.
    for name, first, last in [("usdm", 1723161292, 1723161310), ("spot", 1723161280, 1723161310)]:
        path = f"ws_recordings/{name}_btcusdt_20240808.gz"
        write(path, [l for l in lines(path) if first <= int(l.split(" ", 1)[0]) // 10**9 < last])
    copy("frames_2026/real_frames.jsonl")


def bodies():
    dropped = ["ticker-bookTicker-full", "batch-probe", "night-collection", "public-market-ui"]
    for path in sorted((SOURCE / "rest_responses").rglob("*.json")):
        name = str(path.relative_to(SOURCE))
        one_of_each = "fundingRate" in name or not any(d in name for d in dropped)
        if one_of_each or "fapi-v1-ticker-bookTicker-full" in name:
            write(name + ".gz", [path.read_text()])


def defects():
    name = "malformed/ETHUSDT_spot_5m_rows_change_width.csv"
    rows = lines(name)
    write(name, rows[:1] + rows[960:])
    name = "malformed/BTCUSDT_spot_5m_some_bars_unfinished.csv.gz"
    rows = lines(name)
    write(name, rows[:1] + [r for r in rows[1:] if r >= "2025-09-05"])
    orders = "liquidations/recorded_2025-01.csv"
    write(orders + ".gz", lines(orders))


def rows(path):
    """Rows of a file as pandas, or a JSON reader, sees them."""
    if path.suffix == ".parquet":
        return len(pd.read_parquet(path))
    if path.name.endswith(".json.gz"):
        body = json.loads(gzip.decompress(path.read_bytes()))
        return len(body.get("symbols", [body]) if isinstance(body, dict) else body)
    text = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as zipped:
            text = zipped.read(zipped.namelist()[0])
    elif path.suffix == ".gz":
        text = gzip.decompress(text)
    header = text[:1].isalpha() and b"," in text.split(b"\n", 1)[0] and not path.name.startswith("recorded")
    return len(text.splitlines()) - header


for cut in [archive, frames, streams, bodies, defects]:
    cut()
for path in sorted(p for p in HERE.rglob("*") if p.is_file() and p.parent != HERE):
    if "cases" not in path.relative_to(HERE).parts:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(digest, f"{rows(path):>6}", path.relative_to(HERE))
