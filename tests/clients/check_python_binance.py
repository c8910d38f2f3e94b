"""python-binance."""

import asyncio

from binance import AsyncClient, BinanceSocketManager
from binance.client import Client
from binance.enums import FuturesType

from common import FIRST_DAY, FROM_MS, FUTURES_WS, REST, SPOT_WS, SYMBOL, TO_MS, done, finish, refused, same_bars, same_closed, same_series


def moved(client):
    client.API_URL = f"{REST}/api"
    client.FUTURES_URL = f"{REST}/fapi"
    client.FUTURES_DATA_URL = f"{REST}/futures/data"
    return client


client = moved(Client(ping=False))
same_bars("futures_historical_klines", "perp", client.futures_historical_klines(SYMBOL, "5m", FROM_MS, TO_MS - 1))
same_bars("get_historical_klines", "spot", client.get_historical_klines(SYMBOL, "5m", FROM_MS, TO_MS - 1))
rates = client.futures_funding_rate(symbol=SYMBOL, startTime=FROM_MS, limit=1000)
same_series("funding", "funding", [(r["fundingTime"], r["fundingRate"]) for r in rates])
rows = []
for start in range(FROM_MS, TO_MS, 500 * 300_000):
    end = min(start + 499 * 300_000, TO_MS)
    rows += client.futures_open_interest_hist(symbol=SYMBOL, period="5m", startTime=start, endTime=end, limit=500)
same_series("open interest, paged", "open_interest", [(r["timestamp"], r["sumOpenInterest"]) for r in rows])
assert len(client.futures_exchange_info()["symbols"]) == 3
assert client.futures_mark_price(symbol=SYMBOL)["nextFundingTime"] > TO_MS
assert len(client.futures_aggregate_trades(symbol=SYMBOL, limit=20)) == 20
assert client.futures_top_longshort_account_ratio(symbol=SYMBOL, period="5m", limit=3)
done("exchange info, mark price, aggregated trades, ratios")
refused("an unknown symbol", lambda: client.futures_klines(symbol="NOPE", interval="5m"), "-1121")
refused("a limit too large", lambda: client.futures_klines(symbol=SYMBOL, interval="5m", limit=1501), "-1130")


async def streams():
    later = moved(await AsyncClient.create(ping=False) if "ping" in AsyncClient.create.__code__.co_varnames else AsyncClient())
    manager = BinanceSocketManager(later)
    manager.FSTREAM_URL, manager.STREAM_URL = f"{FUTURES_WS}/", f"{SPOT_WS}/"
    try:
        async with manager.kline_futures_socket(SYMBOL, "5m", futures_type=FuturesType.USD_M) as socket:
            while True:
                frame = await asyncio.wait_for(socket.recv(), 60)
                frame = frame.get("data", frame)
                if frame["e"] == "continuous_kline" and frame["k"]["x"]:
                    break
        row = client.futures_klines(symbol=SYMBOL, interval="5m", startTime=frame["k"]["t"], limit=1)
        same_closed("kline_futures_socket", row, frame)
        async with manager.kline_socket(SYMBOL, "5m") as socket:
            assert (await asyncio.wait_for(socket.recv(), 60))["e"] == "kline"
        async with manager.all_mark_price_socket() as socket:
            frame = await asyncio.wait_for(socket.recv(), 60)
            assert "data" in frame or isinstance(frame, list), frame
        done("spot klines and all mark prices flow")
    finally:
        await later.close_connection()


assert FIRST_DAY == "2026-02-24"
asyncio.run(streams())
finish("python-binance")
