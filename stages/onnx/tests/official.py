"""Writes the official tests of ONNX operators into a folder: a folder each, with the network, its inputs and wanted outputs."""

import json
import pathlib
import sys
import warnings

import numpy as np
from onnx import TensorProto, numpy_helper

warnings.filterwarnings("ignore")
from onnx.backend.test.case import node  # noqa: E402

out = pathlib.Path(sys.argv[1])
for case in node.collect_testcases(None):
    for k, (inputs, outputs) in enumerate(case.data_sets or []):
        values = [*inputs, *outputs]
        if not all(isinstance(v, (np.ndarray, np.generic, TensorProto)) for v in values):
            continue
        folder = out / f"{case.name}-{k}"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(case.model.SerializeToString())
        for what, some in [("input", inputs), ("output", outputs)]:
            for i, value in enumerate(some):
                tensor = value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value))
                (folder / f"{what}-{i}").write_bytes(tensor.SerializeToString())
        (folder / "about.json").write_text(
            json.dumps({"inputs": len(inputs), "outputs": len(outputs), "rtol": case.rtol, "atol": case.atol})
        )
