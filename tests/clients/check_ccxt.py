"""ccxt and ccxt.pro."""

import asyncio

import ccxt
import ccxt.pro

from common import BARS, FROM_MS, FUTURES_WS, REST, SPOT_WS, TO_MS, done, finish, refused, same_bars, same_series

HOSTS = {
    "https://fapi.binance.com": REST,
    "https://api.binance.com": REST,
    "wss://fstream.binance.com": FUTURES_WS,
    "wss://stream.binance.com:9443": SPOT_WS,
}


def moved(node):
    if isinstance(node, dict):
        return {key: moved(value) for key, value in node.items()}
    if isinstance(node, str):
        for host, ours in HOSTS.items():
            node = node.replace(host, ours)
    return node


def at_ours(exchange, types):
    exchange.urls["api"] = moved(exchange.urls["api"])
    exchange.options["fetchMarkets"] = types if isinstance(exchange.options.get("fetchMarkets"), list) else {"types": types}
    exchange.options["fetchCurrencies"] = False
    exchange.enableRateLimit = False
    return exchange


def paged(fetch):
    rows, since = [], FROM_MS
    while since < TO_MS:
        page = fetch(since)
        if not page:
            break
        rows += [row for row in page if row[0] < TO_MS]
        since = page[-1][0] + 300_000
    return rows


usdm = at_ours(ccxt.binanceusdm(), ["linear"])
markets = usdm.load_markets()
perp = "BTC/USDT:USDT"
assert markets[perp]["swap"] and markets[perp]["precision"]["price"] == 0.1
done("markets: the perpetuals with their ticks")
same_bars("ohlcv, paged", "perp", paged(lambda since: usdm.fetch_ohlcv(perp, "5m", since, 400)), columns=5)
rates = usdm.fetch_funding_rate_history(perp, FROM_MS, 1000)
same_series("funding history", "funding", [(r["timestamp"], r["fundingRate"]) for r in rates])
interest = usdm.fetch_open_interest_history(perp, "5m", FROM_MS, 500, {"endTime": FROM_MS + 400 * 300_000})
assert len(interest) > 390, len(interest)
done(f"open interest history: {len(interest)} snapshots")
assert usdm.fetch_funding_rate(perp)["fundingRate"] is not None
assert usdm.fetch_ticker(perp)["last"] > 0 and len(usdm.fetch_tickers()) == 3
assert len(usdm.fetch_trades(perp, limit=50)) == 50
book = usdm.fetch_order_book(perp, 10)
assert len(book["bids"]) == 10 and book["bids"][0][0] < book["asks"][0][0]
assert usdm.fetch_mark_ohlcv(perp, "5m", FROM_MS, 5)[0][0] == FROM_MS
done("rates, tickers, trades, book, mark klines")
refused("an unknown symbol", lambda: usdm.fapiPublicGetKlines({"symbol": "NOPE", "interval": "5m"}), "BadSymbol")
refused("an unknown interval", lambda: usdm.fapiPublicGetKlines({"symbol": "BTCUSDT", "interval": "7m"}), "BadRequest")

spot = at_ours(ccxt.binance(), ["spot"])
spot.load_markets()
same_bars("spot ohlcv, paged", "spot", paged(lambda since: spot.fetch_ohlcv("BTC/USDT", "5m", since, 1000)), columns=5)
assert spot.fetch_ticker("BTC/USDT")["last"] > 0 and spot.fetch_order_book("BTC/USDT", 5)["bids"]
done("spot ticker and book")


async def streams():
    pro = at_ours(ccxt.pro.binanceusdm(), ["linear"])
    try:
        await pro.load_markets()
        candles = await asyncio.wait_for(pro.watch_ohlcv(perp, "5m"), 30)
        assert candles[-1][4] > 0
        assert (await asyncio.wait_for(pro.watch_trades(perp), 30))[-1]["price"] > 0
        assert (await asyncio.wait_for(pro.watch_ticker(perp), 30))["last"] > 0
        assert (await asyncio.wait_for(pro.watch_mark_price(perp), 30))["markPrice"] > 0
        book = await asyncio.wait_for(pro.watch_order_book(perp), 30)
        assert book["bids"][0][0] < book["asks"][0][0]
        done("pro: candles, trades, ticker, mark price, order book flow")
    finally:
        await pro.close()


asyncio.run(streams())
assert BARS == 1152
finish("ccxt")
