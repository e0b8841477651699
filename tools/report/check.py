"""Checks `pawl report` against empyrical and quantstats, and its round trips against the fills of the journal.

Ratios: both packages compute them from the returns that the report exports. Round trips: computed again here from the
execution reports, without the engine's own profit, then given to quantstats for win rate and profit factor.
Ends with 0 if everything agrees, 1 if something differs, 2 if it could not be compared.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import empyrical
import numpy as np
import pandas as pd
import quantstats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from pawl_journal import Journal  # noqa: E402

# Relative. The packages compound returns one by one, and the year is up to half a million of them.
RATIO_TOLERANCE = 1e-9
# Account currency, for every fill of a round trip: the engine rounds each to a millionth.
MONEY_TOLERANCE = 2e-6


class Comparison:
    """Prints one line for each figure and remembers whether all agreed."""

    def __init__(self):
        self.differ = 0

    def line(self, name, ours, theirs, tolerance, absolute=False):
        known = [it is not None and math.isfinite(it) for it in (ours, theirs)]
        if not all(known):
            # What we do not tell, the package does not either: nan, or infinite.
            agree, error = not any(known), "-"
        else:
            error = abs(ours - theirs) / (1.0 if absolute else max(abs(theirs), 1e-300))
            error = 0.0 if ours == theirs else error
            agree = error <= tolerance
        self.differ += not agree
        shown = error if isinstance(error, str) else f"{error:.1e}"
        print(f" {name:34} {text(ours):>22} {text(theirs):>22} {shown:>9}  {'agrees' if agree else 'DIFFERS'}")


def stop(why):
    """It could not be compared."""
    print(f"check: {why}", file=sys.stderr)
    sys.exit(2)


def text(value):
    return "none" if value is None else f"{value:.12g}"


def report(pawl, journal, more):
    """The report as JSON, and the samples that it exports."""
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "returns.csv"
        command = [pawl, "report", str(journal), "--json", "--returns", str(file), *more]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            stop(done.stderr.strip())
        samples = pd.read_csv(file, parse_dates=["time"])
    return json.loads(done.stdout), samples


def compare_ratios(found, samples, compare):
    ours = found["returns"]
    periods = ours["periods_per_year"]
    # From the equity, not from our returns: so the returns are checked too.
    returns = samples.set_index("time")["equity"].pct_change().iloc[1:]
    values = returns.to_numpy()
    compare.line("returns", len(values), ours["count"], 0)
    exported = samples["return"].iloc[1:].to_numpy()
    compare.line("largest difference of a return", float(np.abs(exported - values).max(initial=0)), 0.0, 1e-15, True)
    with np.errstate(all="ignore"):
        theirs = {
            "sharpe": empyrical.sharpe_ratio(values, annualization=periods),
            "sortino": empyrical.sortino_ratio(values, annualization=periods),
            "cagr": empyrical.cagr(values, annualization=periods),
            "calmar": empyrical.calmar_ratio(values, annualization=periods),
            "max_drawdown": -empyrical.max_drawdown(values),
            "volatility": empyrical.annual_volatility(values, annualization=periods),
        }
        for name, value in theirs.items():
            compare.line(f"{name} (empyrical)", ours[name], float(value), RATIO_TOLERANCE)
        stats = quantstats.stats
        theirs = {
            "sharpe": stats.sharpe(returns, periods=periods),
            "sortino": stats.sortino(returns, periods=periods),
            "cagr": stats.cagr(returns, periods=periods),
            "calmar": stats.calmar(returns, periods=periods),
            "max_drawdown": -stats.max_drawdown(returns),
            "volatility": stats.volatility(returns, periods=periods),
        }
        for name, value in theirs.items():
            compare.line(f"{name} (quantstats)", ours[name], float(value), RATIO_TOLERANCE)


def round_trips(journal):
    """What every closed round trip earned, from the fills alone: from flat to flat, cash out against cash in."""
    account = journal.settings["engine"]["account"]["currency"]
    _, reports = journal.orders()
    fills = reports[reports["lots"] > 0]
    seen, open_trips, closed = set(), {}, []
    for fill in fills:
        place = int(fill["instrument"])
        terms = journal.instruments[place]
        if terms["currency"] != account:
            stop(f"{terms['symbol']} earns {terms['currency']}, the account is in {account}: this script converts nothing")
        if int(fill["execution_sequence"]) in seen:
            continue
        seen.add(int(fill["execution_sequence"]))
        sign = 1 if int(fill["side"]) == 1 else -1
        lots, price = int(fill["lots"]), int(fill["price"])
        value = float(terms["contract_size"]) * float(terms["volume_step"]) * 10.0 ** -terms["digits"]
        trip = open_trips.get(place)
        closing = 0
        if trip and trip["net"] * sign < 0:
            closing = min(abs(trip["net"]), lots)
        for part in (closing, lots - closing):
            if part == 0:
                continue
            trip = open_trips.setdefault(place, {"net": 0, "cash": 0.0, "fills": 0, "when": None})
            trip["net"] += sign * part
            trip["cash"] -= sign * part * price * value + int(fill["commission"]) / 1e6 * part / lots
            trip["fills"] += 1
            if trip["net"] == 0:
                trip = open_trips.pop(place)
                # Money is exact to a millionth; what a float adds to nothing earned is not a win.
                cash = round(trip["cash"], 6)
                closed.append({**trip, "cash": cash, "symbol": terms["symbol"], "when": int(fill["time"])})
    return closed


def compare_trips(found, journal, compare):
    theirs = round_trips(journal)
    ours = [it for it in found["round_trips"] if it["closed"] and not it["carried"]]
    compare.line("round trips", len(ours), len(theirs), 0)
    ours.sort(key=lambda it: (it["closed"], it["symbol"]))
    theirs.sort(key=lambda it: (it["when"], it["symbol"]))
    if len(ours) == len(theirs) and ours:
        worst = max(abs(a["profit"] - b["cash"]) / b["fills"] for a, b in zip(ours, theirs))
        compare.line("largest difference of a trip's P&L", worst, 0.0, MONEY_TOLERANCE, True)
    earned = pd.Series([it["cash"] for it in theirs], dtype=float)
    figures = found["trips"]
    if len(earned) and (earned < 0).any():
        factor = quantstats.stats.profit_factor(earned, prepare_returns=False)
        compare.line("profit factor (quantstats)", figures["profit_factor"], float(factor), RATIO_TOLERANCE)
    if len(earned):
        rate = quantstats.stats.win_rate(earned, prepare_returns=False)
        compare.line("win rate (quantstats)", figures["win_rate"], float(rate), RATIO_TOLERANCE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--pawl", default="target/release/pawl", help="the pawl command (default: %(default)s)")
    parser.add_argument("--every", help="as of `pawl report`: minute, hour or day")
    parser.add_argument("--periods-per-year", help="as of `pawl report`")
    arguments = parser.parse_args()
    more = []
    for flag, value in (("--every", arguments.every), ("--periods-per-year", arguments.periods_per_year)):
        more += [flag, value] if value else []
    found, samples = report(arguments.pawl, arguments.journal, more)
    compare = Comparison()
    print(f" {'':34} {'pawl':>22} {'package':>22} {'error':>9}")
    if found["returns"]["count"] < 2:
        stop("fewer than two returns: there is nothing to compare")
    compare_ratios(found, samples, compare)
    if found["covers"]["pruned"]:
        print(" the journal was pruned: its round trips are not compared")
    else:
        compare_trips(found, Journal(arguments.journal), compare)
    print("everything agrees" if compare.differ == 0 else f"{compare.differ} figures differ")
    sys.exit(compare.differ > 0)


if __name__ == "__main__":
    main()
