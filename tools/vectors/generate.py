"""Writes series of bars and what TA-Lib says of them, for the tests of the feature stage.

Usage: generate.py DIRECTORY
"""

import csv
import math
import pathlib
import sys

import numpy
import talib

BARS = 200
POINTS_PER_UNIT = 100.0


def walk(seed, bars, deviation, flat=()):
    """A random walk in points: open, high, low, close and volume per bar; bars in `flat` do not move."""
    random = numpy.random.default_rng(seed)
    close = 10_000
    rows = []
    for bar in range(bars):
        still = any(first <= bar < last for first, last in flat)
        path = [close]
        for _ in range(0 if still else 8):
            path.append(max(1_000, path[-1] + int(round(random.normal(0.0, deviation)))))
        close = path[-1]
        rows.append((path[0], max(path), min(path), close, int(random.integers(1, 1_000))))
    return numpy.array(rows, dtype=numpy.float64)


def columns(series):
    """Every bar column of TA-Lib, by the engine's name."""
    high, low, close = (series[:, i] / POINTS_PER_UNIT for i in (1, 2, 3))
    volume = series[:, 4]
    found = {}
    for period in (2, 10, 30):
        found[f"sma_{period}"] = talib.SMA(close, period)
    for period in (2, 20):
        found[f"ema_{period}"] = talib.EMA(close, period)
    for period in (2, 14):
        found[f"rsi_{period}"] = talib.RSI(close, period)
    for fast, slow, signal in ((12, 26, 9), (3, 10, 1), (2, 30, 16)):
        values = talib.MACD(close, fast, slow, signal)
        for name, value in zip(("macd", "macd_signal", "macd_histogram"), values):
            found[f"{name}_{fast}_{slow}_{signal}"] = value
    for period, factor in ((20, 2), (5, 2.5)):
        upper, middle, lower = talib.BBANDS(close, period, factor, factor, 0)
        distance = numpy.where(upper - lower > 1e-6, upper - lower, math.nan)
        found[f"bollinger_b_{period}_{factor}"] = (close - lower) / distance
        found[f"bollinger_width_{period}_{factor}"] = distance / middle
    for period in (1, 2, 14):
        found[f"atr_{period}"] = talib.ATR(high, low, close, period)
    found["obv"] = talib.OBV(close, volume)
    return found


def write(path, series):
    found = columns(series)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["open", "high", "low", "close", "volume", *found])
        for bar, row in enumerate(series):
            values = ("" if math.isnan(value[bar]) else repr(float(value[bar])) for value in found.values())
            writer.writerow([*(int(value) for value in row), *values])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    # Bars that move by several per cent: TA-Lib's variance loses digits on calm series, where the engine's is exact.
    write(directory / "talib_walk.csv", walk(1, BARS, 150.0))
    write(directory / "talib_flat.csv", walk(2, BARS, 100.0, flat=((0, 40), (90, 130))))


if __name__ == "__main__":
    main()
