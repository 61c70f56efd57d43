"""Main: trains a small neural network (64 pixels, one hidden layer, 10 digits) on the training images by stochastic
gradient descent, and measures it on the test images that it never saw. Standard library only."""

import argparse
import csv
import json
import math
import os
import pathlib
import random
import sys
import time

import postlude_output


class Network:
    """One hidden layer of rectified units, then softmax. Weights are lists with one row per unit."""

    def __init__(self, pixels: int, hidden: int, digits: int, source: random.Random):
        self.hidden_weights = [[source.gauss(0, math.sqrt(2 / pixels)) for _ in range(pixels)] for _ in range(hidden)]
        self.hidden_bias = [0.0] * hidden
        self.output_weights = [[source.gauss(0, math.sqrt(1 / hidden)) for _ in range(hidden)] for _ in range(digits)]
        self.output_bias = [0.0] * digits

    def forward(self, image):
        """Returns the hidden layer's values and the probability of each digit."""
        hidden = []
        for weights, bias in zip(self.hidden_weights, self.hidden_bias):
            total = bias
            for pixel, value in image:
                total += weights[pixel] * value
            hidden.append(total if total > 0 else 0.0)
        scores = [
            bias + sum([weight * value for weight, value in zip(weights, hidden)])
            for weights, bias in zip(self.output_weights, self.output_bias)
        ]
        highest = max(scores)
        powers = [math.exp(score - highest) for score in scores]
        total = sum(powers)
        return hidden, [power / total for power in powers]

    def learn(self, image, digit, rate) -> float:
        """Takes one step downhill for one image; returns its cross-entropy before the step."""
        hidden, chances = self.forward(image)
        errors = list(chances)
        errors[digit] -= 1
        for unit, value in enumerate(hidden):
            if value == 0:
                continue
            back = sum([error * weights[unit] for error, weights in zip(errors, self.output_weights)])
            step = rate * back
            weights = self.hidden_weights[unit]
            for pixel, brightness in image:
                weights[pixel] -= step * brightness
            self.hidden_bias[unit] -= step
        for weights, error, number in zip(self.output_weights, errors, range(len(errors))):
            step = rate * error
            for unit, value in enumerate(hidden):
                if value:
                    weights[unit] -= step * value
            self.output_bias[number] -= step
        return -math.log(max(chances[digit], 1e-12))


def load(path: pathlib.Path):
    """Images as lists of (pixel, brightness from 0 to 1), without the dark pixels, each with its digit."""
    with open(path, newline="") as file:
        rows = [[int(field) for field in row] for row in csv.reader(file)]
    return [([(pixel, value / 16) for pixel, value in enumerate(row[:-1]) if value], row[-1]) for row in rows]


def open_device() -> str:
    """Opens the accelerator that was leased to this run: proof that the sandbox granted it."""
    path = os.environ.get("EXAMPLE_ACCELERATOR", "")
    if not path:
        return ""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    numbers = os.fstat(descriptor).st_rdev
    print(f"accelerator {path} ({os.major(numbers)}:{os.minor(numbers)}) is open", flush=True)
    # Left open until this process ends: the hand-back has something to wait for.
    return path


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=pathlib.Path, required=True)
    arguments.add_argument("--target", type=pathlib.Path, required=True)
    arguments.add_argument("--epochs", type=int, default=12)
    arguments.add_argument("--hidden", type=int, default=24)
    arguments.add_argument("--rate", type=float, default=0.06)
    arguments.add_argument("--seed", type=int, default=1998)
    options = arguments.parse_args()

    device = open_device()
    train, test = load(options.data / "train.csv"), load(options.data / "test.csv")
    source = random.Random(options.seed)
    network = Network(64, options.hidden, 10, source)
    started = time.monotonic()
    loss = math.nan
    with open(options.target / "loss.jsonl", "w") as history:
        for epoch in range(1, options.epochs + 1):
            source.shuffle(train)
            rate = options.rate * (1 - (epoch - 1) / options.epochs)
            loss = sum(network.learn(image, digit, rate) for image, digit in train) / len(train)
            seconds = time.monotonic() - started
            print(f"epoch {epoch:2d}  loss {loss:.4f}  {seconds:.1f} s", flush=True)
            history.write(json.dumps({"epoch": epoch, "loss": loss, "seconds": round(seconds, 3)}) + "\n")
            history.flush()

    correct = 0
    with open(options.target / "predictions.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["digit", "predicted"])
        for image, digit in test:
            chances = network.forward(image)[1]
            predicted = chances.index(max(chances))
            correct += predicted == digit
            table.writerow([digit, predicted])
    accuracy = correct / len(test)
    print(f"test accuracy {accuracy:.4f} ({correct} of {len(test)})", flush=True)

    # There in every sandbox; it holds the values against what digits.yaml declares.
    postlude_output.write(accuracy=accuracy, loss=loss, epochs_run=options.epochs, device=device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
