"""The networks of lfs-train in torch.nn, for measuring beside it."""

import torch
from torch import nn


class Unit(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.PReLU(b),
            nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b))
        self.short = nn.Identity() if stride == 1 and a == b else nn.Sequential(
            nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))
        self.act = nn.PReLU(b)

    def forward(self, x):
        return self.act(self.body(x) + self.short(x))


class Last(nn.Module):
    def __init__(self, channels, side, size):
        super().__init__()
        self.linear = nn.Linear(channels * side * side, size, bias=False)
        self.norm = nn.BatchNorm1d(size, affine=False)

    def forward(self, x):
        return self.norm(self.linear(x.flatten(1)))


def residual(widths, depths, side, size):
    layers, a = [nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])], widths[0]
    for stage, b in enumerate(widths):
        for unit in range(depths[stage] if stage < len(depths) else 1):
            layers.append(Unit(a, b, 2 if unit == 0 else 1))
            a = b
        side = (side + 1) // 2
    return nn.Sequential(*layers, Last(a, side, size))


class Bottleneck(nn.Module):
    def __init__(self, a, b, inner, stride):
        super().__init__()
        self.skip = stride == 1 and a == b
        self.body = nn.Sequential(
            nn.Conv2d(a, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.PReLU(inner),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner), nn.PReLU(inner),
            nn.Conv2d(inner, b, 1, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        return self.body(x) + x if self.skip else self.body(x)


def mobilefacenet(width, side, size):
    w, side = width, (side + 1) // 2
    layers = [nn.Conv2d(3, w, 3, 2, 1, bias=False), nn.BatchNorm2d(w), nn.PReLU(w),
              nn.Conv2d(w, w, 3, 1, 1, groups=w, bias=False), nn.BatchNorm2d(w), nn.PReLU(w)]
    a = w
    for t, c, n, s in [(2, 1, 5, 2), (4, 2, 1, 2), (2, 2, 6, 1), (4, 2, 1, 2), (2, 2, 2, 1)]:
        for i in range(n):
            layers.append(Bottleneck(a, c * w, t * a, s if i == 0 else 1))
            a = c * w
        side = (side + 1) // 2 if s == 2 else side
    last = 8 * w
    layers += [nn.Conv2d(a, last, 1, bias=False), nn.BatchNorm2d(last), nn.PReLU(last),
               nn.Conv2d(last, last, side, groups=last, bias=False), nn.BatchNorm2d(last)]
    return nn.Sequential(*layers, Last(last, 1, size))


class IUnit(nn.Module):
    def __init__(self, a, b, stride, weigh):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(a), nn.Conv2d(a, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b), nn.PReLU(b),
            nn.Conv2d(b, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b))
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(b, b // 16, 1, bias=False), nn.ReLU(),
            nn.Conv2d(b // 16, b, 1, bias=False), nn.Sigmoid()) if weigh else None
        self.short = nn.Identity() if stride == 1 and a == b else nn.Sequential(
            nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        y = self.body(x)
        return (y * self.weigh(y) if self.weigh else y) + self.short(x)


def iresnet(units, weigh, side, size):
    layers, a = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)], 64
    for stage, n in enumerate(units):
        for i in range(n):
            layers.append(IUnit(a, 64 << stage, 2 if i == 0 else 1, weigh))
            a = 64 << stage
        side = (side + 1) // 2
    return nn.Sequential(*layers, nn.BatchNorm2d(a), Last(a, side, size))
