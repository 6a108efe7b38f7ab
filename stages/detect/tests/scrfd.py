"""Makes a small network with the outputs of SCRFD, computes it for a picture with onnxruntime, and finds the faces.

Arguments: a folder; width, height; then the picture's file of red, green and blue bytes. Writes network.onnx and faces.json.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

out, width, height = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
picture = np.fromfile(sys.argv[4], np.uint8).reshape(height, width, 3)
rng = np.random.default_rng(1)
nodes, weights, names = [], [], {"score": [], "box": [], "points": []}


def conv(of, to, channels, window, stride):
    shape = (channels, 3 if of == "picture" else 8, window, window)
    name = f"w{len(weights)}"
    values = rng.standard_normal(shape) * 2 / np.sqrt(np.prod(shape[1:]))
    weights.append(numpy_helper.from_array(values.astype(np.float32), name))
    nodes.append(helper.make_node("Conv", [of, name], [to], strides=[stride, stride], kernel_shape=[window, window]))


for stride in (8, 16, 32):
    conv("picture", f"raw{stride}", 8, stride, stride)
    nodes.append(helper.make_node("Relu", [f"raw{stride}"], [f"map{stride}"]))
    for part, numbers in (("score", 1), ("box", 4), ("points", 10)):
        name = f"{part}{stride}"
        conv(f"map{stride}", f"{name}-maps", 2 * numbers, 1, 1)
        nodes.append(helper.make_node("Transpose", [f"{name}-maps"], [f"{name}-last"], perm=[0, 2, 3, 1]))
        weights.append(numpy_helper.from_array(np.array([-1, numbers], np.int64), f"{name}-shape"))
        rows = name if part == "points" else f"{name}-rows"
        nodes.append(helper.make_node("Reshape", [f"{name}-last", f"{name}-shape"], [rows]))
        if part != "points":
            last = "Sigmoid" if part == "score" else "Exp"
            nodes.append(helper.make_node(last, [rows], [name]))
        names[part].append(name)
order = [*names["score"], *names["box"], *names["points"]]
graph = helper.make_graph(
    nodes,
    "scrfd",
    [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, None, None])],
    [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in order],
    weights,
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
onnx.save(model, out / "network.onnx")

canvas = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), np.float32)
canvas[:height, :width] = picture
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
made = session.run(order, {"picture": ((canvas - 127.5) / 128).transpose(2, 0, 1)[None].copy()})
faces = []
for level, stride in enumerate((8, 16, 32)):
    score, box, points = (made[level + 3 * part] for part in range(3))
    for row in range(len(score)):
        y, x = divmod(row // 2, canvas.shape[1] // stride)
        centre = np.array([x, y], np.float32) * stride
        corners = np.concatenate([centre - box[row, :2] * stride, centre + box[row, 2:] * stride])
        if score[row, 0] >= 0.6 and min(corners[2:] - corners[:2]) >= 12:
            faces.append((score[row, 0], corners, (centre + points[row].reshape(5, 2) * stride).ravel()))
faces.sort(key=lambda face: -face[0])
kept = []
for face in faces:
    def hidden(other):
        low, high = np.maximum(face[1][:2], other[1][:2]), np.minimum(face[1][2:], other[1][2:])
        both = np.prod(np.maximum(high - low + 1, 0))
        whole = sum(np.prod(f[1][2:] - f[1][:2] + 1) for f in (face, other)) - both
        return both / whole > 0.4
    if not any(hidden(other) for other in kept):
        kept.append(face)
(out / "faces.json").write_text(json.dumps([[float(v) for v in (s, *b, *p)] for s, b, p in kept]))
