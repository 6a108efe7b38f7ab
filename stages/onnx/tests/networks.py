"""Computes networks with onnxruntime, for inputs of random numbers: writes the network, the input and the outputs.

Arguments: a folder, then files and shapes in turn. The sides of what a network takes are made free.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

out = pathlib.Path(sys.argv[1])
onnxruntime.set_default_logger_severity(3)
rng = np.random.default_rng(0)
for k, (file, shape) in enumerate(zip(sys.argv[2::2], sys.argv[3::2])):
    model = onnx.load(file)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.ClearField("shape")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = rng.standard_normal([int(n) for n in shape.split("x")]).astype(np.float32)
    made = session.run(None, {session.get_inputs()[0].name: x})
    for name, value in [("input", x), *((f"output-{i}", y) for i, y in enumerate(made))]:
        (out / f"{k}-{name}").write_bytes(numpy_helper.from_array(value).SerializeToString())
