"""Checks `pawl export`: every value, as pandas and as polars read it, against the numpy reader of the journal.

Ends with 0 if everything agrees, 1 if something differs, 2 if it could not be compared.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from pawl_journal import Journal, labels  # noqa: E402

FINAL = ("filled", "cancelled", "expired", "rejected")
NO_TIME = np.iinfo(np.int64).min


class Expected:
    """What the columns of every kind hold, from the arrays of the numpy reader."""

    def __init__(self, journal):
        self.journal = journal
        self.symbols = np.array([it["symbol"] for it in journal.instruments])
        self.agents = np.array(journal.agents)

    def head(self, rows):
        return {"sequence": rows["sequence"], "time": Time(rows["time"]), "symbol": self.symbols[rows["instrument"]]}

    def price(self, name, rows, field=None, none=False):
        return scaled(name, "points", self.journal.prices(rows, field or name), rows[field or name], none)

    def volume(self, name, rows, field=None, none=False):
        return scaled(name, "steps", self.journal.volumes(rows, field or name), rows[field or name], none)

    def ticks(self):
        rows = self.journal.ticks()
        out = self.head(rows)
        out |= {"source_time": Time(rows["source_time"]), "source_sequence": rows["source_sequence"]}
        out["feed"] = rows["feed"]
        for name in ("bid", "ask", "last"):
            out |= self.price(name, rows, none=True)
        out |= self.volume("volume", rows, none=True)
        return out | {name: labels("tick", name, rows[name]) for name in ("flags", "marks")}

    def bars(self):
        rows = self.journal.table("bar_closed")
        out = self.head(rows) | {"number": rows["number"]}
        out |= {name: Time(rows[name]) for name in ("open_time", "close_time")}
        for name in ("open", "high", "low", "close"):
            out |= self.price(name, rows)
        return out | {"volume": rows["volume"], "ticks": rows["ticks"]}

    def features(self):
        rows = self.journal.features()
        out = self.head(rows) | {"ready": rows["ready"] == 1}
        return out | {name: rows[name] for name in self.journal.columns}

    def predictions(self):
        rows = self.journal.predictions()
        out = self.head(rows) | {"agent": self.agents[rows["agent"]] if len(rows) else np.array([], dtype=str)}
        out["model"] = np.array([f"{it:016x}" for it in rows["model_hash"]], dtype=str)
        out["age_ns"] = rows["age_ns"]
        places = [self.classes(name) for name in self.journal.agents]
        for meaning in ("down", "flat", "up"):
            place = np.array([it.index(meaning) if meaning in it else -1 for it in places], dtype=int)
            place = place[rows["agent"]] if len(rows) else np.array([], dtype=int)
            values = np.take_along_axis(rows["probabilities"], np.maximum(place, 0)[:, None], axis=1)[:, 0]
            out[f"probability_{meaning}"] = np.where(place >= 0, values, np.float32(np.nan))
        return out | {"score": rows["score"], "vote": labels("prediction", "vote", rows["vote"])}

    def classes(self, agent):
        told = [it for it in self.journal.settings["classes"] if it.startswith(f"{agent}: ")]
        return json.loads(told[0].split(": ", 1)[1]) if told else []

    def _fills(self):
        """The reports that moved a position, and the positions that came of them."""
        reports, positions = self.journal.orders().reports, self.journal.table("position_changed")
        reports = reports[(reports["lots"] > 0) & np.isin(reports["sequence"], positions["sequence"])]
        return reports, positions[np.searchsorted(positions["sequence"], reports["sequence"])]

    def fills(self):
        rows, positions = self._fills()
        out = self.head(rows) | {"source_time": Time(rows["source_time"])}
        out |= {name: rows[name] for name in ("client_order_id", "venue_order_id", "execution_sequence")}
        out["execution"] = labels("execution_report", "kind", rows["kind"])
        out["side"] = labels("execution_report", "side", rows["side"])
        signed = rows.copy()
        signed["lots"] *= np.where(rows["side"] == 1, 1, -1)
        out |= self.volume("signed_lots", signed, "lots") | self.price("price", rows)
        out |= self.volume("leaves_lots", rows) | money("commission", rows["commission"])
        return out | self.volume("net_lots", positions) | money("realised", positions["realised"])

    def equity(self):
        rows = self.journal.table("equity_changed")
        out = {"sequence": rows["sequence"], "time": Time(rows["time"])}
        for name in ("balance", "equity", "peak"):
            out |= money(name, rows[name])
        for name in ("drawdown", "drawdown_max"):
            exact = rows[name.replace("drawdown", "drawdown_ppm")]
            out |= scaled(name, "ppm", exact / 1e6, exact)
        return out | money("daily", rows["daily"])

    def orders(self):
        """One row an order, by its id."""
        requests, reports = self.journal.orders()
        changes, verdicts = self.journal.table("order_changed"), self.journal.table("verdict")
        new = requests[requests["action"] == 1]
        ids, last = np.unique(changes["client_order_id"][::-1], return_index=True)
        last = changes[::-1][last]
        place = np.searchsorted(new["client_order_id"], ids)
        if not np.array_equal(new["client_order_id"][place], ids):
            stop("the beginning of an order is not in the journal: this script takes whole journals")
        first = new[place]
        fills, _ = self._fills()
        verdict = [
            verdicts[(verdicts["sequence"] == it["sequence"]) & (verdicts["instrument"] == it["instrument"])
                     & (verdicts["side"] == it["side"]) & (verdicts["outcome"] == 1) & (verdicts["action"] == 1)][0]
            for it in first
        ]
        verdict = np.array(verdict, dtype=verdicts.dtype)
        state = labels("order_changed", "to", changes["to"])
        ended = changes[np.isin(state, FINAL)]
        out = {"sequence": ids >> 6, "time": Time(first["time"]), "symbol": self.symbols[last["instrument"]]}
        out |= {"client_order_id": ids, "side": labels("order_changed", "side", last["side"])}
        out |= {name: labels("order_request", name, first[name]) for name in ("order_type", "time_in_force")}
        out["source"] = labels("verdict", "source", verdict["source"])
        out |= self.volume("requested_lots", first, "lots", none=True)
        out |= self.price("requested_price", first, "price", none=True)
        out |= self.price("reference", verdict, none=True) | {"quote_age_ns": first["quote_age_ns"]}
        out["valid_until"] = Time(np.where(first["valid_until"] == 0, NO_TIME, first["valid_until"]))
        out["state"] = labels("order_changed", "to", last["to"])
        out |= self.volume("lots", last) | self.price("price", last, none=True) | self.volume("filled_lots", last)
        digits = np.array([10.0 ** it["digits"] for it in self.journal.instruments])[last["instrument"]]
        with np.errstate(invalid="ignore"):
            out["average_price"] = last["filled_cost"] / (last["filled_lots"] * digits)
        out["filled_cost"] = last["filled_cost"]
        of = [fills["client_order_id"] == it for it in ids]
        out["fills"] = np.array([it.sum() for it in of], dtype=np.uint64)
        out |= money("commission", np.array([fills["commission"][it].sum() for it in of], dtype=np.int64))
        out["changes"] = np.array([(changes["client_order_id"] == it).sum() for it in ids], dtype=np.uint64)
        for name, rows in (("answered", reports), ("ended", ended)):
            at, when = first_of(rows, ids)
            out |= {f"{name}_sequence": at, f"{name}_time": Time(when)}
        rejected = reports[reports["kind"] == 2]
        why = dict(zip(rejected["client_order_id"].tolist(), labels("execution_report", "reason", rejected["reason"])))
        out["reject_reason"] = np.array([why.get(it) for it in ids.tolist()], dtype=object)
        return out


class Time:
    """Nanoseconds since 1970 in UTC."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=np.int64)


def scaled(name, unit, values, exact, none=False):
    """A value, null where 0 is none, and the whole number beside it."""
    exact = np.asarray(exact, dtype=np.int64)
    return {name: np.where(exact == 0, np.nan, values) if none else values, f"{name}_{unit}": exact}


def money(name, micros):
    return scaled(name, "micros", np.asarray(micros, dtype=np.int64) / 1e6, micros)


def first_of(rows, ids):
    """Step and time of the first of these rows that is about each order."""
    found, place = np.unique(rows["client_order_id"], return_index=True)
    places = dict(zip(found.tolist(), place.tolist()))
    rows = [rows[places[it]] if it in places else None for it in ids.tolist()]
    at = [0 if it is None else it["sequence"] for it in rows]
    return np.array(at, dtype=np.uint64), np.array([NO_TIME if it is None else it["time"] for it in rows], dtype=np.int64)


def stop(why):
    """It could not be compared."""
    print(f"check: {why}", file=sys.stderr)
    sys.exit(2)


def differs(read, wanted):
    """What is wrong with a column as it was read, given as a pandas series; None if nothing is."""
    if isinstance(wanted, Time):
        if str(read.dtype) != "datetime64[ns, UTC]":
            return f"is of type {read.dtype}"
        return None if np.array_equal(read.astype("int64").to_numpy(), wanted.values) else "differs"
    if wanted.dtype.kind in "UO":
        if str(read.dtype) != "category":
            return f"is of type {read.dtype}"
        ours = [None if pd.isna(it) else it for it in read.tolist()]
        return None if ours == wanted.tolist() else "differs"
    kinds = {"u": "uint64", "i": "int64", "b": "bool", "f": str(wanted.dtype)}
    if str(read.dtype) != kinds[wanted.dtype.kind]:
        return f"is of type {read.dtype}"
    equal = np.array_equal(read.to_numpy(), wanted, equal_nan=wanted.dtype.kind == "f")
    return None if equal else "differs"


def of_polars(series):
    """A series of polars as pandas has it, but with what polars says its type is."""
    kinds = {pl.UInt64: "uint64", pl.Int64: "int64", pl.Float32: "float32", pl.Float64: "float64", pl.Boolean: "bool"}
    if series.dtype == pl.Datetime("ns", "UTC"):
        values = series.to_physical().fill_null(NO_TIME).to_numpy()
        return pd.Series(pd.to_datetime(values.astype("datetime64[ns]"), utc=True))
    if isinstance(series.dtype, (pl.Categorical, pl.Enum)):
        return pd.Series(pd.Categorical(series.cast(pl.String).to_list()))
    values = series.fill_null(float("nan")) if series.dtype.is_float() else series
    return pd.Series(values.to_numpy(), dtype=kinds.get(series.dtype))


def compare(kind, file, wanted):
    """Compares one file and says so; how many columns differ."""
    pandas, polars, wrong = pd.read_parquet(file), pl.read_parquet(file), []
    if kind == "orders":
        pandas, polars = pandas.sort_values("client_order_id"), polars.sort("client_order_id")
    for library, columns in (("pandas", list(pandas.columns)), ("polars", polars.columns)):
        if columns != list(wanted):
            wrong.append(f"{library}: columns {set(columns) ^ set(wanted) or 'in another order'}")
    if not wrong:
        for name, values in wanted.items():
            for library, read in (("pandas", pandas[name]), ("polars", of_polars(polars[name]))):
                what = differs(read, values)
                wrong += [f"{library}: {name} {what}"] if what else []
    schema = pq.read_schema(file)
    wrong += [f"{field.name} has no description" for field in schema if b"description" not in (field.metadata or {})]
    for key in (b"pawl.journal_id", b"pawl.settings_hash", b"pawl.build_hash", b"pawl.kind"):
        wrong += [] if key in (pq.read_metadata(file).metadata or {}) else [f"the file does not tell {key.decode()}"]
    told = "agrees" if not wrong else "DIFFERS"
    print(f" {kind:12} {len(pandas):>10,} rows {len(wanted):>4} columns {file.stat().st_size:>12,} bytes  {told}")
    for it in wrong:
        print(f"   {it}")
    return len(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--out", type=Path, help="keep the files in this directory")
    parser.add_argument("--pawl", default="target/release/pawl", help="the pawl command (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        out = arguments.out or Path(home) / "export"
        command = [arguments.pawl, "export", str(arguments.journal), "--out", str(out), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            stop(done.stderr.strip())
        expected, differ = Expected(Journal(arguments.journal)), 0
        for file in json.loads(done.stdout)["files"]:
            differ += compare(file["kind"], Path(file["path"]), getattr(expected, file["kind"])())
    print("everything agrees" if differ == 0 else f"{differ} things differ")
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
