"""What a script with OpenCV does: `opencv.py FOLDER PROCESSES` aligns every photograph that FOLDER/landmarks.tsv lists and prints images
a second; `opencv.py FOLDER decode` prints what simplejpeg and OpenCV decode a second on one core."""

import multiprocessing
import pathlib
import sys
import tempfile
import time

import cv2
import numpy as np

TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
root = pathlib.Path(sys.argv[1])


def transform(points):
    """The similarity of least squares onto the template (Umeyama)."""
    mean, goal = points.mean(0), TEMPLATE.mean(0)
    s, d = points - mean, TEMPLATE - goal
    n = (s * s).sum()
    a, b = (s * d).sum() / n, (s[:, 0] * d[:, 1] - s[:, 1] * d[:, 0]).sum() / n
    return np.array([[a, -b, goal[0] - a * mean[0] + b * mean[1]], [b, a, goal[1] - b * mean[0] - a * mean[1]]])


def work(job):
    lines, out = job
    cv2.setNumThreads(1)
    with open(out, "wb") as file:
        for line in lines:
            fields = line.split("\t")
            image = cv2.imread(str(root / "images" / fields[0]))
            crop = cv2.warpAffine(image, transform(np.array(fields[-10:], float).reshape(5, 2)), (112, 112))
            file.write(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
    return len(lines)


def decode():
    import simplejpeg

    cv2.setNumThreads(1)
    files = [path.read_bytes() for path in sorted((root / "images").glob("*/*.jpg"))[:2000]]
    for read in (simplejpeg.decode_jpeg, lambda b: cv2.imdecode(np.frombuffer(b, np.uint8), 1)):
        start = time.perf_counter()
        for file in files:
            read(file)
        print(len(files) / (time.perf_counter() - start))


if sys.argv[2] == "decode":
    decode()
else:
    lines = (root / "landmarks.tsv").read_text().splitlines()
    n = int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder, multiprocessing.Pool(n) as pool:
        start = time.perf_counter()
        # Many pieces, so that no process waits for the other at the end.
        jobs = [(lines[k :: 8 * n], f"{folder}/{k}") for k in range(8 * n)]
        done = sum(pool.imap_unordered(work, jobs))
        print(done / (time.perf_counter() - start))
