"""Writes a page about main's run, in Markdown and in HTML."""

import html
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from postlude_hub.run import Run, perform, record  # noqa: E402


def shown(value):
    """A value on one line, whatever it holds."""
    if value is None:
        return "unknown"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())[:500]


def cell(value):
    """One cell of a table in which nothing is markup."""
    text = shown(value)
    for character in "\\`*_[]<>|#":
        text = text.replace(character, "\\" + character)
    return text


def seconds(value):
    return None if value is None else f"{value:.3f} s"


def size(value):
    return None if value is None else f"{value / 1048576:.1f} MiB"


def tail(path, count):
    """The last lines of a log, read from its end; a log may be large."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 256 * 1024))
        text = file.read().decode("utf-8", "replace")
    return [line[:400].replace("\x1b", "") for line in text.splitlines()[-count:]] if count else []


def tables(main):
    """Titles and rows."""
    yield "Run", [
        ("uuid", main.get("uuid")), ("project", main.get("project")), ("owner", main.get("owner")),
        ("exit", main.get("exit")), ("started", main.get("started_at")), ("finished", main.get("finished_at")),
        ("waited", seconds(main.get("wait_time"))), ("ran", seconds(main.get("duration")))]
    yield "Inputs", sorted((main.get("inputs") or {}).items())
    yield "Outputs", sorted((main.get("outputs") or {}).items())
    usage = main.get("usage")
    if usage:
        yield "Usage", [
            ("wall", seconds(usage.get("wall_seconds"))), ("user", seconds(usage.get("user_seconds"))),
            ("system", seconds(usage.get("system_seconds"))), ("peak memory", size(usage.get("peak_memory_bytes"))),
            ("read", size(usage.get("read_bytes"))), ("written", size(usage.get("written_bytes")))]


def logs(count):
    """Names of logs, and their last lines."""
    directory = pathlib.Path(os.environ.get("POSTLUDE_MAIN_LOGS", "/nonexistent"))
    if not count or not directory.is_dir():
        return
    for path in sorted(directory.rglob("*.log")):
        try:
            lines = tail(path, count)
        except OSError as error:
            lines = [f"cannot be read: {error}"]
        if lines:
            yield str(path.relative_to(directory)), lines


def markdown(run):
    lines = [f"# {cell(run.main.get('name'))}: {cell(run.main.get('status'))}"]
    if run.reason:
        lines.extend(["", cell(run.reason)])
    for title, rows in tables(run.main):
        if rows:
            lines.extend(["", f"## {title}", "", "| | |", "|---|---|"])
            lines.extend(f"| {cell(name)} | {cell(value)} |" for name, value in rows)
    for name, tail_lines in logs(run.inputs["lines"]):
        lines.extend(["", f"## {cell(name)}", ""])
        lines.extend("    " + line for line in tail_lines)
    return "\n".join(lines) + "\n"


STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}th{text-align:left;padding-right:2em}"
    "td{overflow-wrap:anywhere}pre{background:#f4f4f4;padding:1em;overflow-x:auto}")


def page(run):
    def escaped(value):
        return html.escape(shown(value))

    heading = f"{escaped(run.main.get('name'))}: {escaped(run.main.get('status'))}"
    lines = [
        "<!DOCTYPE html>", "<html><head><meta charset=\"utf-8\">",
        # The page is opened from the disk: nothing in it may load or run anything.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{heading}</title><style>{STYLE}</style></head><body>",
        f"<h1 style=\"color:{run.colour}\">{heading}</h1>",
    ]
    if run.reason:
        lines.append(f"<p>{escaped(run.reason)}</p>")
    for title, rows in tables(run.main):
        if rows:
            lines.append(f"<h2>{title}</h2><table>")
            lines.extend(f"<tr><th>{escaped(name)}</th><td>{escaped(value)}</td></tr>" for name, value in rows)
            lines.append("</table>")
    for name, tail_lines in logs(run.inputs["lines"]):
        lines.append(f"<h2>{escaped(name)}</h2><pre>{html.escape(chr(10).join(tail_lines))}</pre>")
    lines.append("</body></html>")
    return "\n".join(lines) + "\n"


def main():
    run = Run()
    artifacts = pathlib.Path(os.environ["POSTLUDE_ARTIFACTS"])
    plain, rich = artifacts / "summary.md", artifacts / "summary.html"
    plain.write_text(markdown(run), encoding="utf-8")
    rich.write_text(page(run), encoding="utf-8")
    record({"page": str(plain), "html": str(rich)})
    print(f"wrote {plain} and {rich}")


if __name__ == "__main__":
    perform(main)
