"""Gradient descent with momentum on (x - 3)^2, from 0: the loss after fifty steps is the run's output."""
import json
import os
import sys

rate, momentum = float(sys.argv[1]), float(sys.argv[2])
position = speed = 0.0
for _ in range(50):
    speed = momentum * speed - rate * 2 * (position - 3)
    position = max(-1e6, min(1e6, position + speed))
with open(os.environ["POSTLUDE_OUTPUTS"], "w") as outputs:
    json.dump({"loss": (position - 3) ** 2, "position": position}, outputs)
