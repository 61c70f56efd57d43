"""Tells which of a matrix's runs had the smallest loss: all of them are in the hook's inputs."""
import json
import os

with open(os.environ["POSTLUDE_CONTEXT"]) as context:
    runs = json.load(context)["inputs"]["runs"]
best = min(runs, key=lambda run: run["outputs"]["loss"])
print(f"of {len(runs)} runs, {best['name']} was best: rate {best['inputs']['rate']:.3g}")
