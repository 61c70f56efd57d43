"""Writes merge-cases.jsonl: what Polyaxon makes of operations over components, and of presets over operations.

Run it in an environment of its own:

    python3 -m venv oracle && oracle/bin/pip install polyaxon==2.18.0
    oracle/bin/python merge_cases.py > ../Fixtures/merge-cases.jsonl
"""

import copy
import importlib.metadata
import json
import sys

PINNED = "2.18.0"
if importlib.metadata.version("polyaxon") != PINNED:
    sys.exit(f"polyaxon {PINNED} is needed")

from polyaxon._polyaxonfile.specs import CompiledOperationSpecification, OperationSpecification
from polyaxon._polyaxonfile.specs.polyaxonfile import read_polyaxonfile

STRATEGIES = ["post_merge", "pre_merge", "replace", "isnull"]
CONTAINER = {"image": "a", "command": ["x"], "args": ["1"]}


def job(container=None, **more):
    return {"kind": "job", "container": {**CONTAINER, **(container or {})}, **more}


def named(name, value):
    return {"name": name, "value": value}


# name, the component, what is merged over it
FIELDS = [
    ("name", {"name": "a"}, {"name": "b"}),
    ("name where there is none", {}, {"name": "b"}),
    ("description", {"description": "a"}, {"description": "b"}),
    ("description made null", {"description": "a"}, {"description": None}),
    ("tags", {"tags": ["a", "b"]}, {"tags": ["b", "c"]}),
    ("tags made null", {"tags": ["a"]}, {"tags": None}),
    ("tags made empty", {"tags": ["a"]}, {"tags": []}),
    ("queue", {"queue": "a"}, {"queue": "b"}),
    ("conditions", {"conditions": "{{ a }}"}, {"conditions": "{{ b }}"}),
    ("termination", {"termination": {"maxRetries": 1, "timeout": 5}}, {"termination": {"maxRetries": 2, "ttl": 9}}),
    ("termination with a null", {"termination": {"maxRetries": 1, "timeout": 5}}, {"termination": {"timeout": None}}),
    ("termination made null", {"termination": {"maxRetries": 1}}, {"termination": None}),
    ("termination where there is none", {}, {"termination": {"timeout": 5}}),
    ("plugins", {"plugins": {"auth": True, "shm": False}}, {"plugins": {"shm": True, "docker": True}}),
    ("cache", {"cache": {"disable": True}}, {"cache": {"disable": False, "ttl": 3}}),
    ("hooks", {"hooks": [{"hubRef": "a"}]}, {"hooks": [{"hubRef": "b"}, {"hubRef": "a"}]}),
    ("equal hooks in another spelling", {"hooks": [{"hubRef": "a", "trigger": "done"}]},
     {"hooks": [{"trigger": "done", "hub_ref": "a"}]}),
    ("isApproved", {"isApproved": True}, {"isApproved": False}),
    ("schedule of one kind", {"schedule": {"kind": "cron", "cron": "0 0 * * *", "maxRuns": 3}},
     {"schedule": {"kind": "cron", "cron": "1 0 * * *"}}),
    ("schedule of another kind", {"schedule": {"kind": "cron", "cron": "0 0 * * *"}},
     {"schedule": {"kind": "interval", "frequency": 60}}),
    ("matrix of one kind", {"matrix": {"kind": "mapping", "values": [{"a": 1}], "concurrency": 2}},
     {"matrix": {"kind": "mapping", "values": [{"a": 2}]}}),
    ("matrix of another kind", {"matrix": {"kind": "mapping", "values": [{"a": 1}]}},
     {"matrix": {"kind": "grid", "params": {"a": {"kind": "choice", "value": [1]}}}}),
    ("inputs", {"inputs": [{"name": "a", "type": "int"}]}, {"inputs": [{"name": "b"}, {"name": "a", "type": "int"}]}),
    ("inputs of one name", {"inputs": [{"name": "a", "type": "int"}]}, {"inputs": [{"name": "a", "type": "str"}]}),
    ("image", {}, {"runPatch": {"container": {"image": "b"}}}),
    ("command", {}, {"runPatch": {"container": {"command": ["y"]}}}),
    ("command that shares a word", {}, {"runPatch": {"container": {"command": ["y", "x"]}}}),
    ("env", {"run": job({"env": [named("A", "1")]})},
     {"runPatch": {"container": {"env": [named("A", "2"), named("B", "3")]}}}),
    ("env where there is none", {}, {"runPatch": {"container": {"env": [named("A", "2")]}}}),
    ("workingDir made null", {"run": job({"workingDir": "/a"})}, {"runPatch": {"container": {"workingDir": None}}}),
    ("resources", {"run": job({"resources": {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 1}}})},
     {"runPatch": {"container": {"resources": {"limits": {"cpu": 2}}}}}),
    ("resources where there are none", {}, {"runPatch": {"container": {"resources": {"limits": {"cpu": 2}}}}}),
    ("volumeMounts", {"run": job({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})},
     {"runPatch": {"container": {"volumeMounts": [{"name": "w", "mountPath": "/w"}]}}}),
    ("environment", {"run": job(environment={"labels": {"a": "1", "b": "1"}, "nodeName": "n"})},
     {"runPatch": {"environment": {"labels": {"b": "2", "c": "2"}, "nodeName": "m"}}}),
    ("environment with a null", {"run": job(environment={"nodeName": "n", "labels": {"a": "1"}})},
     {"runPatch": {"environment": {"nodeName": None}}}),
    ("environment made null", {"run": job(environment={"nodeName": "n"})}, {"runPatch": {"environment": None}}),
    ("init", {"run": job(init=[{"paths": ["a"]}])}, {"runPatch": {"init": [{"paths": ["b"]}, {"paths": ["a"]}]}}),
    ("init made null", {"run": job(init=[{"paths": ["a"]}])}, {"runPatch": {"init": None}}),
    ("sidecars", {"run": job(sidecars=[{"name": "s", "image": "a"}])},
     {"runPatch": {"sidecars": [{"name": "t", "image": "b"}]}}),
    ("sidecars made null", {"run": job(sidecars=[{"name": "s", "image": "a"}])}, {"runPatch": {"sidecars": None}}),
    ("volumes", {"run": job(volumes=[{"name": "v", "emptyDir": {}}])},
     {"runPatch": {"volumes": [{"name": "w", "emptyDir": {}}]}}),
    ("connections", {"run": job(connections=["a"])}, {"runPatch": {"connections": ["b", "a"]}}),
    ("container shortcut", {}, {"container": {"image": "b", "workingDir": "/w"}}),
    ("cmd shortcut", {}, {"cmd": "y"}),
    ("cmd shortcut of lines", {}, {"cmd": ["y", "z"]}),
    ("cmd shortcut without a command", {"run": {"kind": "job", "container": {"image": "a"}}}, {"cmd": "y"}),
    ("env shortcut", {"run": job({"env": [named("A", "1"), named("C", "1")]})}, {"env": {"A": "2", "B": "3"}}),
    ("env shortcut of the same", {"run": job({"env": [named("A", "1"), named("C", "1")]})}, {"env": {"A": "1"}}),
    ("env shortcut where there is none", {}, {"env": {"A": "2"}}),
    ("resources shortcut", {"run": job({"resources": {"limits": {"cpu": 4, "memory": "1Gi"}}})},
     {"resources": {"cpu": 2, "memory": "1Gi..2Gi", "gpu": 1}}),
    ("resources shortcut of one side", {}, {"resources": {"cpu": "..2", "memory": "1Gi.."}}),
    ("environment shortcut", {"run": job(environment={"labels": {"a": "1"}})},
     {"environment": {"labels": {"a": "2", "b": "2"}}}),
    ("init shortcut", {"run": job(init=[{"paths": ["a"]}])}, {"init": [{"paths": ["b"]}]}),
    ("sidecars shortcut", {}, {"sidecars": [{"name": "t", "image": "b"}]}),
    ("connections shortcut", {"run": job(connections=["a"])}, {"connections": ["b"]}),
    ("volumes shortcut", {}, {"volumes": [{"name": "w", "emptyDir": {}}]}),
    ("shortcut and patch", {}, {"env": {"A": "1"}, "runPatch": {"container": {"env": [named("A", "2")]}}}),
    ("run of one kind", {}, {"run": {"kind": "job", "container": {"image": "b"}}}),
    ("run of another kind", {}, {"run": {"kind": "service", "container": {"image": "b"}, "ports": [80]}}),
    ("run without a kind", {}, {"run": {"container": {"image": "b"}, "init": [{"paths": ["b"]}]}}),
    ("ports of a service", {"run": {"kind": "service", "container": {"image": "a"}, "ports": [80]}},
     {"ports": [81]}),
    ("snake case", {"run": job({"workingDir": "/a"})}, {"run_patch": {"container": {"workingDir": "/b"}}}),
]

# What only an operation has, or only a whole layer may change.
PARAMS = [
    ("params", {"a": {"value": 1}, "b": {"value": 1}}, {"b": {"value": 2, "contextOnly": True}, "c": 3}),
    ("params that lose a key", {"a": {"value": 1, "contextOnly": True}}, {"a": {"value": 2}}),
]
NOT_IN_PRESETS = {"inputs", "outputs", "run", "run_patch"}


def shown(compiled, params=None):
    values = compiled.to_dict()
    for key in ("kind", "contexts", "version", "presets"):
        values.pop(key, None)
    if values.get("strictParams") is False:
        values.pop("strictParams")
    if params is not None:
        values["params"] = {name: param.to_dict() for name, param in params.items()}
    return without_nulls(values)


def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def component(fields):
    return {"kind": "component", "run": job(), **copy.deepcopy(fields)}


def compiled(operation):
    return OperationSpecification.compile_operation(read_polyaxonfile(copy.deepcopy(operation)))


def answer(make):
    try:
        return {"result": make()}
    except Exception as error:  # what Polyaxon refuses is an answer too
        return {"refused": type(error).__name__}


def main():
    cases = []
    for name, base, patch in FIELDS:
        for strategy in STRATEGIES:
            operation = {"kind": "operation", "component": component(base), "patchStrategy": strategy, **patch}
            cases.append({"name": f"{name}, operation, {strategy}", "operation": operation,
                          **answer(lambda: shown(compiled(operation)))})
            if NOT_IN_PRESETS & set(patch):
                continue
            operation = {"kind": "operation", "component": component(base), "presets": ["p"]}
            preset = {"isPreset": True, "patchStrategy": strategy, **patch}
            cases.append({"name": f"{name}, preset, {strategy}", "operation": operation, "preset": preset,
                          **answer(lambda: shown(CompiledOperationSpecification.apply_preset(
                              compiled(operation), copy.deepcopy(preset))))})
    for name, base, patch in PARAMS:
        for strategy in STRATEGIES:
            operation = {"kind": "operation", "component": component({}), "params": base, "presets": ["p"]}
            preset = {"isPreset": True, "patchStrategy": strategy, "params": patch}
            cases.append({"name": f"{name}, preset file, {strategy}", "operation": operation, "preset": preset,
                          **answer(lambda: shown(*OperationSpecification.compile_operation_with_params(
                              read_polyaxonfile(copy.deepcopy(operation)), override=copy.deepcopy(preset))))})
    print(json.dumps({"polyaxon": PINNED, "cases": len(cases)}))
    for case in cases:
        # The only value that is not JSON's own is a schedule's time span.
        print(json.dumps(case, sort_keys=True, default=lambda span: int(span.total_seconds())))


main()
