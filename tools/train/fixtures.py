#!/usr/bin/env python3
"""Makes the small models that the engine's tests read, one of each exporter, with rows and expected answers.

    python3 tools/train/fixtures.py engine/tests/data/models

Every model takes six float columns. Beside each NAME.onnx stands NAME.csv: the six columns of a row and then what ONNX
Runtime answered to it (a float is written so that it reads back as the same 32 bits; an empty field is a missing
value). Rows are drawn at random, sit exactly on the model's own thresholds, or miss values.
"""

import csv
import pathlib
import sys
import warnings

import lightgbm
import numpy as np
import onnx
import onnxmltools
import onnxruntime
import xgboost
from onnx import TensorProto, helper
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType as SklFloat
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

COLUMNS = 6
ROWS = 400
CASES = 40


def data():
    random = np.random.default_rng(20190204)
    x = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    x[:, 3] = np.round(x[:, 3] * 2) / 2  # repeated values: rows that equal a threshold
    z = x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * random.normal(size=ROWS).astype(np.float32)
    return x, z, (z > 0).astype(int), np.digitize(z, [-0.5, 0.5])


def exported():
    """Name and ONNX model of every exporter."""
    x, z, two, three = data()
    missing = x.copy()
    missing[np.random.default_rng(7).random(x.shape) < 0.1] = np.nan
    tools = [("features", ToolsFloat([None, COLUMNS]))]
    sklearn = [("features", SklFloat([None, COLUMNS]))]
    boost = dict(n_estimators=12, max_depth=4, learning_rate=0.3)
    light = dict(n_estimators=12, num_leaves=12, min_child_samples=5, verbose=-1, random_state=1)
    forest = dict(n_estimators=10, max_depth=5, random_state=1)

    for name, model, y in [
        ("xgboost-binary", xgboost.XGBClassifier(**boost), two),
        ("xgboost-multiclass", xgboost.XGBClassifier(**boost), three),
        ("xgboost-regression", xgboost.XGBRegressor(**boost), z),
    ]:
        yield name, onnxmltools.convert_xgboost(model.fit(missing, y), initial_types=tools)
    for name, model, y in [
        ("lightgbm-binary", lightgbm.LGBMClassifier(**light), two),
        ("lightgbm-multiclass", lightgbm.LGBMClassifier(**light), three),
        ("lightgbm-regression", lightgbm.LGBMRegressor(**light), z),
    ]:
        model.fit(missing, y)
        yield name, onnxmltools.convert_lightgbm(model, initial_types=tools)
        if name == "lightgbm-multiclass":
            yield name + "-tensor", onnxmltools.convert_lightgbm(model, initial_types=tools, zipmap=False)
    gradient = dict(n_estimators=12, max_depth=3, random_state=1)
    for name, model, y in [
        ("forest-binary", RandomForestClassifier(**forest), two),
        ("forest-multiclass", RandomForestClassifier(**forest), three),
        ("forest-regression", RandomForestRegressor(**forest), z),
        ("extra-trees", ExtraTreesClassifier(**forest), three),
        ("gradient-binary", GradientBoostingClassifier(**gradient), two),
        ("gradient-multiclass", GradientBoostingClassifier(**gradient), three),
        ("gradient-regression", GradientBoostingRegressor(**gradient), z),
        ("logistic-binary", make_pipeline(StandardScaler(), LogisticRegression()), two),
        ("logistic-multiclass", make_pipeline(StandardScaler(), LogisticRegression()), three),
        ("logistic-normalized", make_pipeline(Normalizer(), LogisticRegression()), three),
        ("linear", make_pipeline(StandardScaler(), LinearRegression()), z),
        ("ridge-min-max", make_pipeline(MinMaxScaler(), Ridge()), z),
        ("mlp", make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=400, random_state=1)), three),
    ]:
        yield name, convert_sklearn(model.fit(x, y), initial_types=sklearn)
    yield "lstm", lstm()


def lstm():
    """One step of an LSTM of four cells and a softmax over three classes, with fixed weights."""
    random = np.random.default_rng(3)
    cells, classes = 4, 3

    def tensor(name, *shape):
        values = random.normal(size=shape).astype(np.float32)
        return helper.make_tensor(name, TensorProto.FLOAT, shape, values.ravel())

    nodes = [
        helper.make_node("LSTM", ["features", "w", "r", "b"], ["", "hidden"], hidden_size=cells),
        helper.make_node("Squeeze", ["hidden", "axes"], ["last"]),
        helper.make_node("MatMul", ["last", "head"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 1, COLUMNS])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, classes])],
        [
            tensor("w", 1, 4 * cells, COLUMNS),
            tensor("r", 1, 4 * cells, cells),
            tensor("b", 1, 8 * cells),
            tensor("head", cells, classes),
            helper.make_tensor("axes", TensorProto.INT64, [1], [0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def thresholds(model):
    """Pairs of column and value that the model's trees compare."""
    for node in model.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            for mode, column, value in zip(
                attributes["nodes_modes"], attributes["nodes_featureids"], attributes["nodes_values"]
            ):
                if mode != b"LEAF":
                    yield column, np.float32(value)


def cases(model):
    random = np.random.default_rng(11)
    rows = random.normal(size=(CASES, COLUMNS)).astype(np.float32)
    on = list(thresholds(model))
    for row in rows[CASES // 4 : CASES // 2]:
        for column, value in [on[i] for i in random.permutation(len(on))[:4]] if on else []:
            row[column] = value
    if on:
        for row in rows[CASES // 2 : 3 * CASES // 4]:
            row[random.random(COLUMNS) < 0.4] = np.nan
        rows[-1] = np.nan
        rows[-2] = [np.inf, -np.inf, 0.0, -0.0, 1e38, -1e-40]
    else:
        rows[-1] = 0
    return rows


def answer(session, row):
    taken = session.get_inputs()[0]
    output = session.run(None, {taken.name: row.reshape([1] * (len(taken.shape) - 1) + [COLUMNS])})[-1]
    if isinstance(output, list):  # ZipMap
        output = [output[0][key] for key in sorted(output[0])]
    return np.asarray(output, np.float32).ravel()


def text(value):
    return "" if np.isnan(value) else str(value)


def main(folder):
    warnings.filterwarnings("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in exported():
        model.graph.doc_string = ""
        content = model.SerializeToString()
        (folder / f"{name}.onnx").write_bytes(content)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for row in cases(model):
                writer.writerow([text(v) for v in [*row, *answer(session, row)]])
        print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
