"""The official SDK for USD-M futures."""

import asyncio

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import DerivativesTradingUsdsFutures

from common import FROM_MS, FUTURES_WS, REST, SYMBOL, TO_MS, done, finish, refused, same_bars, same_closed, same_series

sdk = DerivativesTradingUsdsFutures(
    config_rest_api=ConfigurationRestAPI(api_key="", api_secret="", base_path=REST),
    config_ws_streams=ConfigurationWebSocketStreams(stream_url=FUTURES_WS),
)
rest = sdk.rest_api


def plain(value):
    if isinstance(value, list):
        return [plain(v) for v in value]
    inner = getattr(value, "actual_instance", None)
    return value if inner is None else inner


def klines(start, limit):
    answer = rest.kline_candlestick_data(symbol=SYMBOL, interval="5m", start_time=start, end_time=TO_MS - 1, limit=limit)
    return [plain(row) for row in answer.data()]


rows, start = [], FROM_MS
while start < TO_MS:
    rows += klines(start, 500)
    start = int(rows[-1][0]) + 300_000
same_bars("klines, paged", "perp", rows)
rates = rest.get_funding_rate_history(symbol=SYMBOL, start_time=FROM_MS, limit=1000).data()
same_series("funding", "funding", [(r.funding_time, r.funding_rate) for r in rates])
interest = rest.open_interest_statistics(symbol=SYMBOL, period="5m", start_time=FROM_MS, limit=500).data()
assert len(interest) == 500, len(interest)
assert len(rest.exchange_information().data().symbols) == 3
assert rest.check_server_time().data().server_time > TO_MS
assert rest.order_book(symbol=SYMBOL, limit=5).data().bids
assert rest.compressed_aggregate_trades_list(symbol=SYMBOL, limit=5).data()
assert rest.check_server_time().rate_limits, "the weight header is read"
done("open interest, exchange info, time, book, aggregated trades, rate limits")
refused("an unknown symbol", lambda: rest.kline_candlestick_data(symbol="NOPE", interval="5m"), "Invalid symbol")


async def streams():
    connection = await sdk.websocket_streams.create_connection()
    try:
        closed, quoted = asyncio.Event(), asyncio.Event()
        frames = []

        def on_kline(frame):
            frame = frame.model_dump(by_alias=True) if hasattr(frame, "model_dump") else frame
            if frame["k"]["x"] and not closed.is_set():
                frames.append(frame)
                closed.set()

        kline = await connection.kline_candlestick_streams(symbol=SYMBOL.lower(), interval="5m")
        kline.on("message", on_kline)
        quote = await connection.individual_symbol_book_ticker_streams(symbol=SYMBOL.lower())
        quote.on("message", lambda _: quoted.set())
        await asyncio.wait_for(closed.wait(), 60)
        await asyncio.wait_for(quoted.wait(), 30)
        return frames[0]
    finally:
        await connection.close_connection(close_session=True)


frame = asyncio.run(streams())
row = [
    plain(r) for r in rest.kline_candlestick_data(symbol=SYMBOL, interval="5m", start_time=frame["k"]["t"], limit=1).data()
]
same_closed("market stream", row, frame)
done("the public stream flows")
finish("official SDK")
