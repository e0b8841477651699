#!/usr/bin/env python3
"""Trains the two demo models from the feature vectors of a journal.

    pawl tail JOURNAL --kind features --format csv > features.csv
    python3 tools/train/train.py features.csv --out tools/models

The table has the columns sequence, time, symbol, ready and then every feature of the schema in order; one of them must
be `mid`, from which the label is made: the move of the mid over the horizon that follows, down, flat or up. The engine
gives a model its whole feature vector. Columns that name a price, a volume or a time of day are set to zero here, so a
model takes them and learns nothing from them: what is learned from the level of one day is of no use on another.

The first part of the time is trained on and the last part tested; a row whose horizon reaches over the border belongs
to neither. Figures are for the tested part, before costs. Nothing here promises a profit.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import re
import sys

import numpy as np
import onnx
import onnxmltools
import sklearn
import xgboost
import xxhash
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType as SklFloat
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

CLASSES = ["down", "flat", "up"]
SCALE_FREE = r"^(return_|spread_z_|tick_rate_|volatility_|rsi_|bollinger_)"
FIXED = ["sequence", "time", "symbol", "ready"]
SECOND = 1_000_000_000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="CSV of features, or - for standard input")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tools/models"))
    parser.add_argument("--bars", default="1m", help="bar interval of the engine, as features.bars (default 1m)")
    parser.add_argument("--horizon", type=float, default=60.0, help="seconds the label looks ahead (default 60)")
    parser.add_argument("--flat", type=float, default=0.33, help="share of moves that count as flat (default 0.33)")
    parser.add_argument("--split", type=float, default=0.7, help="share of the time to train on (default 0.7)")
    parser.add_argument("--every", type=int, default=5, help="use every n-th vector (default 5)")
    parser.add_argument("--vote", type=float, default=0.2, help="share of vectors that should vote (default 0.2)")
    parser.add_argument("--use", default=SCALE_FREE, help="pattern of the columns to learn from")
    parser.add_argument("--version", default="1", help="version to write into the manifests")
    return parser.parse_args()


def nanoseconds(text):
    """A time as nanoseconds since the UNIX epoch or as ISO 8601 in UTC."""
    try:
        return int(text)
    except ValueError:
        return int(np.datetime64(text.rstrip("Z"), "ns").astype(np.int64))


def read(path):
    """Columns, symbol, time and values of the vectors that are ready."""
    file = sys.stdin if path == "-" else open(path, newline="")
    rows = csv.reader(file)
    header = next(rows, [])
    if header[: len(FIXED)] != FIXED or "mid" not in header:
        sys.exit(f"{path}: the header must begin with {','.join(FIXED)} and hold mid; found {','.join(header)}")
    symbols, times, values = [], [], []
    for row in rows:
        if row[3] in ("1", "true"):
            symbols.append(row[2])
            times.append(nanoseconds(row[1]))
            values.append(np.array(row[4:], np.float32))
    if len(values) < 1000:
        sys.exit(f"{path}: only {len(values)} vectors are ready; at least 1000 are needed")
    return header[4:], np.array(symbols), np.array(times), np.array(values)


def moves(symbols, times, mids, horizon):
    """Relative move of the mid over the horizon that follows; NaN where the data ends before."""
    result = np.full(len(times), np.nan)
    for symbol in np.unique(symbols):
        own = np.flatnonzero(symbols == symbol)
        ahead = np.searchsorted(times[own], times[own] + horizon, side="right") - 1
        known = times[own] + horizon <= times[own][-1]
        result[own[known]] = mids[own[ahead[known]]] / mids[own[known]] - 1
    return result


def evaluate(name, probabilities, labels, move, threshold, prior):
    """Out-of-sample figures, printed and returned."""
    score = probabilities[:, 2] - probabilities[:, 0]
    votes = np.abs(score) >= threshold
    gain = np.sign(score[votes]) * move[votes]
    figures = {
        "vectors": int(len(labels)),
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
        "accuracy_of_the_most_frequent_class": float(np.bincount(labels).max() / len(labels)),
        "log_loss": float(log_loss(labels, probabilities, labels=[0, 1, 2])),
        "log_loss_of_the_training_frequencies": float(log_loss(labels, np.tile(prior, (len(labels), 1)), labels=[0, 1, 2])),
        "votes": int(votes.sum()),
        "votes_right": float(np.mean(gain > 0)) if votes.any() else None,
        "mean_move_in_the_direction_of_a_vote_bp": float(gain.mean() * 1e4) if votes.any() else None,
    }
    print(f"{name}, out of sample, before costs:")
    for key, value in figures.items():
        print(f"  {key.replace('_', ' ')}: {value if not isinstance(value, float) else round(value, 4)}")
    return figures


def write(folder, name, model, columns, options, threshold, trained):
    content = model.SerializeToString()
    schema = xxhash.xxh3_64_hexdigest("".join(line + "\n" for line in [options.bars, *columns]).encode())
    manifest = {
        "name": name,
        "version": options.version,
        "sha256": hashlib.sha256(content).hexdigest(),
        "schema": {"hash": schema, "bars": options.bars, "columns": columns},
        "classes": CLASSES,
        "threshold": round(float(threshold), 6),
        "trained": trained,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{folder}: {len(content)} bytes, schema {schema}\n")


def main():
    options = arguments()
    columns, symbols, times, values = read(options.table)
    horizon = int(options.horizon * SECOND)
    move = moves(symbols, times, values[:, columns.index("mid")].astype(np.float64), horizon)
    border = times[0] + int((times[-1] - times[0]) * options.split)
    known = np.isfinite(move) & (np.arange(len(times)) % options.every == 0)
    train, test = known & (times + horizon < border), known & (times >= border)
    band = {}
    labels = np.full(len(times), 1)
    for symbol in np.unique(symbols):
        own = symbols == symbol
        if not (own & train).any():
            sys.exit(f"{symbol}: no vectors in the training part")
        band[str(symbol)] = float(np.quantile(np.abs(move[own & train]), options.flat))
        labels[own] = np.where(move[own] > band[symbol], 2, np.where(move[own] < -band[symbol], 0, 1))
    if len(np.unique(labels[train])) < 3 or not test.any():
        sys.exit("the table is too short or too quiet: not every class is in the training part, or nothing to test")

    used = [bool(re.search(options.use, column)) for column in columns]
    if not any(used):
        sys.exit(f"no column matches {options.use}")
    inputs = np.where(used, values, np.float32(0))
    prior = np.bincount(labels[train], minlength=3) / train.sum()
    trained = {
        "script": "tools/train/train.py",
        "label": f"move of mid over {options.horizon:g} s",
        "flat_band": band,
        "columns_used": [column for column, use in zip(columns, used) if use],
        "from": str(np.datetime64(int(times[0]), "ns")),
        "border": str(np.datetime64(int(border), "ns")),
        "until": str(np.datetime64(int(times[-1]), "ns")),
        "vectors": int(train.sum()),
    }
    tools = [("features", ToolsFloat([None, len(columns)]))]
    models = {
        "fast": (
            make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)),
            lambda model: convert_sklearn(
                model,
                initial_types=[("features", SklFloat([None, len(columns)]))],
                options={"zipmap": False},
            ),
            f"logistic regression, scikit-learn {sklearn.__version__}",
        ),
        "precise": (
            xgboost.XGBClassifier(
                n_estimators=50,
                max_depth=4,
                learning_rate=0.05,
                subsample=0.5,
                colsample_bytree=0.8,
                min_child_weight=50,
                random_state=1,
                n_jobs=1,
            ),
            lambda model: onnxmltools.convert_xgboost(model, initial_types=tools),
            f"gradient boosting, xgboost {xgboost.__version__}",
        ),
    }
    for name, (model, export, kind) in models.items():
        model.fit(inputs[train], labels[train])
        scores = model.predict_proba(inputs[train])
        threshold = np.quantile(np.abs(scores[:, 2] - scores[:, 0]), 1 - options.vote)
        figures = evaluate(
            name, model.predict_proba(inputs[test]), labels[test], move[test], threshold, prior
        )
        onnx_model = export(model)
        onnx.checker.check_model(onnx_model)
        record = {**trained, "kind": kind, "out_of_sample": figures}
        write(options.out / name, name, onnx_model, columns, options, threshold, record)


if __name__ == "__main__":
    main()
