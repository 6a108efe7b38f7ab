"""An epoch as lfs-train trains it, in PyTorch: `pytorch.py NAME SIDE CLASSES BATCH STEPS THREADS [compile] [bfloat16] [cuda]`.

Prints images a second after the first fifth of the steps, and peak memory in KiB."""

import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

from networks import iresnet, mobilefacenet, residual

name, (side, classes, batch, steps, threads) = sys.argv[1], map(int, sys.argv[2:7])
device = "cuda" if "cuda" in sys.argv else "cpu"
torch.set_num_threads(threads)
torch.manual_seed(0)
network = {
    "resnet-small": lambda: residual([16, 32, 64], [], side, 128),
    "resnet-4stage": lambda: residual([32, 64, 128, 256], [], side, 128),
    "mobilefacenet": lambda: mobilefacenet(64, side, 128),
    "iresnet-18": lambda: iresnet([2, 2, 2, 2], False, side, 128),
    "iresnet-50": lambda: iresnet([3, 4, 14, 3], False, side, 128),
    "se-iresnet-50": lambda: iresnet([3, 4, 14, 3], True, side, 128),
}[name]().to(device, memory_format=torch.channels_last).train()
head = nn.Parameter(torch.randn(classes, 128, device=device) * 128 ** -0.5)
optimiser = torch.optim.SGD([*network.parameters(), head], lr=0.05, momentum=0.9, weight_decay=5e-4, fused=True)
pixels = torch.randint(0, 256, (batch * steps, side, side, 3), dtype=torch.uint8)
labels = torch.arange(batch * steps) % classes


def loss_of(x, y):
    with torch.autocast(device, torch.bfloat16, enabled="bfloat16" in sys.argv):
        embeddings = network(x)
    cosines = F.normalize(embeddings.float()) @ F.normalize(head).T
    logits = 32.0 * (cosines - 0.35 * F.one_hot(y, classes))
    return F.cross_entropy(logits, y)


step = torch.compile(loss_of) if "compile" in sys.argv else loss_of
order, begun = torch.randperm(batch * steps), None
for i in range(steps):
    rows = order[i * batch:(i + 1) * batch]
    x = pixels[rows]
    flip = torch.rand(batch) < 0.5
    x[flip] = x[flip].flip(2)
    x = ((x.to(device).float() - 127.5) / 128.0).permute(0, 3, 1, 2)
    optimiser.zero_grad()
    loss = step(x, labels[rows].to(device))
    loss.backward()
    optimiser.step()
    if device == "cpu" or i % 50 == 0 or i + 1 == steps:
        loss.item()
    if i + 1 >= steps // 5 and begun is None:
        begun, first = time.perf_counter(), i + 1
print(f"{(steps - first) * batch / (time.perf_counter() - begun):.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}")
