"""What a component of the hub knows: its inputs, main's facts, and the connection that was given to it."""

import json
import os
import pathlib
import sys

GOOD, BAD, NEUTRAL = "#1aaa55", "#aa310f", "#485563"
COLOURS = {"succeeded": GOOD, "skipped": GOOD, "failed": BAD, "upstream_failed": BAD}


class Failure(Exception):
    """The component cannot do its work; the text goes into the run's condition."""


class Run:
    def __init__(self):
        with open(os.environ["POSTLUDE_CONTEXT"], encoding="utf-8") as file:
            context = json.load(file)
        self.inputs = context["inputs"]
        self.main = context.get("main") or {}
        condition = self.main.get("condition") or {}
        self.name = text(self.main.get("name")) or "run"
        self.status = text(self.main.get("status")) or "unknown"
        self.reason = " ".join(text(condition.get(key)) for key in ("reason", "message") if condition.get(key))
        self.title = text(self.inputs.get("title")) or f"{self.name} {self.status}"
        self.details = text(self.inputs.get("message")) or self.reason or f"{self.name} ended as {self.status}."
        self.colour = COLOURS.get(self.status, NEUTRAL)
        self.secrets, self.settings = connection()

    def setting(self, key, default=None):
        """An input, or what the connection says: a secret first, then a setting that is none."""
        for source in (self.inputs, self.secrets, self.settings):
            value = source.get(key)
            if value is not None and value != "" and value != []:
                return value
        return default

    def require(self, key, what):
        value = self.setting(key)
        if value is None:
            raise Failure(f"there is no {key}: give the input `{key}`, or name a connection that has it ({what})")
        return value

    def facts(self):
        """Main's most telling facts, as (name, text); what is not known is left out."""
        main = self.main
        found = [("Status", self.status)]
        if main.get("project"):
            found.append(("Project", f"{main.get('owner')}/{main['project']}"))
        if main.get("duration") is not None:
            found.append(("Duration", f"{main['duration']:.1f} s"))
        if main.get("exit_code") is not None:
            found.append(("Exit", f"code {main['exit_code']}"))
        elif main.get("signal") is not None:
            found.append(("Exit", f"signal {main['signal']}"))
        for name, value in sorted((main.get("outputs") or {}).items())[:10]:
            found.append((name, text(value)))
        found.append(("Run", text(main.get("uuid"))))
        return found

    def log_tail(self):
        """The end of main's errors, or of its output where there are none."""
        tail = self.main.get("log_tail") or {}
        return text(tail.get("stderr")).strip("\n") or text(tail.get("stdout")).strip("\n")


def connection():
    """The secrets by name, and the settings, of the connection that the agent put into this sandbox."""
    directory = os.environ.get("POSTLUDE_CONNECTION")
    if not directory:
        return {}, {}
    place = pathlib.Path(directory)
    described = json.loads((place / "connection.json").read_text(encoding="utf-8"))
    secrets = {name: (place / name).read_text(encoding="utf-8") for name in described["secrets"]}
    settings = dict(described["settings"])
    if (place / "directory").is_dir():
        settings.setdefault("directory", str(place / "directory"))
    return secrets, settings


def text(value):
    """Any value as text, without characters that steer terminals or break lines of protocols."""
    if value is None:
        return ""
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    return "".join(
        character if character in "\n\t" or character.isprintable() else " "
        for character in value.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(value):
    return " ".join(text(value).split())


def cut(value, limit, unit="characters"):
    """The text with at most `limit` characters, UTF-16 units or UTF-8 bytes, cut between characters."""
    measure = {
        "characters": len,
        "utf16": lambda part: len(part.encode("utf-16-le")) // 2,
        "bytes": lambda part: len(part.encode("utf-8")),
    }[unit]
    if measure(value) <= limit:
        return value
    room = limit - measure("…")
    kept, used = [], 0
    for character in value:
        used += measure(character)
        if used > room:
            break
        kept.append(character)
    return "".join(kept) + "…"


def record(outputs):
    """Writes the component's outputs, whole or not at all."""
    path = os.environ["POSTLUDE_OUTPUTS"]
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(outputs, file, ensure_ascii=False)
    os.replace(path + ".new", path)


def say(message):
    """Tells the run's condition what went wrong."""
    with open(os.environ["POSTLUDE_MESSAGE"], "w", encoding="utf-8") as file:
        file.write(message)


def perform(work, redact=lambda message: message):
    """Runs the component; what goes wrong is told in the log and in the run's condition."""
    try:
        work()
    except Failure as failure:
        message = redact(one_line(str(failure)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = redact(one_line(f"{type(error).__name__}: {error}"))
    else:
        return
    print(message, file=sys.stderr, flush=True)
    say(message)
    sys.exit(1)
