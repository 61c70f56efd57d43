"""Writes the outputs of a Postlude run from Python; there in every sandbox, standard library only.

    import postlude_output

    postlude_output.write(accuracy=0.93, name="text")
    postlude_output.write({"history": [0.9, 0.93]})

Each call adds to the outputs that are there. Processes and threads may write at the same time.
"""

import fcntl
import json
import math
import os

__all__ = ["path", "declared", "write", "read"]

_TYPES = {
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "str": (str,),
    "list": (list, tuple),
    "dict": (dict,),
}


def path() -> str:
    """The file that the outputs are written to."""
    try:
        return os.environ["POSTLUDE_OUTPUTS"]
    except KeyError:
        raise RuntimeError("POSTLUDE_OUTPUTS is not set: this is no step of a Postlude run") from None


def declared() -> dict:
    """The outputs that the run's component declares, by name: type, is_list, is_optional, validation."""
    context = os.environ.get("POSTLUDE_CONTEXT")
    if not context:
        return {}
    with open(context, encoding="utf-8") as file:
        return json.load(file).get("declared_outputs", {})


def read() -> dict:
    """The outputs that were written until now."""
    try:
        with open(path(), encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return {}
    outputs = json.loads(text) if text else {}
    if not isinstance(outputs, dict):
        raise ValueError(f"'{path()}' is not a JSON object")
    return outputs


def write(outputs=None, /, **more) -> None:
    """Adds outputs; a value that is not what its declaration asks for raises TypeError and nothing is written."""
    new = {str(name): _plain(name, value) for name, value in {**(outputs or {}), **more}.items()}
    known = declared()
    for name, value in new.items():
        _check(name, value, known.get(name) or {})
    target = path()
    folder = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # The same lock and the same exchange as `postlude-output`.
        fcntl.flock(folder, fcntl.LOCK_EX)
        text = json.dumps({**read(), **new}, allow_nan=False, sort_keys=True) + "\n"
        draft = f".{os.path.basename(target)}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(draft, flags, 0o644, dir_fd=folder), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(draft, os.path.basename(target), src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def _plain(name, value):
    """What JSON can hold: numbers and arrays of numerical libraries become Python's own."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the output '{name}' is {value}, which JSON cannot hold")
        return value
    if isinstance(value, dict):
        return {str(key): _plain(name, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(name, item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(name, value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"the output '{name}' is of type {type(value).__name__}, which JSON cannot hold")


def _check(name, value, declaration) -> None:
    wanted = "list" if declaration.get("is_list") else declaration.get("type")
    types = _TYPES.get(wanted)
    if types is None or value is None:
        return
    if not isinstance(value, types) or (isinstance(value, bool) and wanted != "bool"):
        raise TypeError(f"the output '{name}' takes {wanted}, not {type(value).__name__}: {value!r}")
