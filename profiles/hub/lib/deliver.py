"""Delivers one message about main: `deliver.py KIND`, as the components of the hub call it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from postlude_hub import client, messages  # noqa: E402
from postlude_hub.delivery import Redactor, deliver  # noqa: E402
from postlude_hub.letter import letter, mailbox  # noqa: E402
from postlude_hub.run import Failure, Run, one_line, perform  # noqa: E402

PAGERDUTY = "https://events.pagerduty.com/generic/2010-04-15/create_event.json"


def http(run, kind):
    """A function that posts main's message to a receiver of this kind once."""
    inputs = run.inputs
    url = run.setting("url", PAGERDUTY) if kind == "pagerduty" else run.require("url", f"the address of the {kind}")
    options = {"timeout": inputs["timeout"]}
    headers = [("X-Postlude-Run", one_line(run.main.get("uuid")))]
    if kind in ("webhook", "ntfy"):
        headers += list((inputs.get("headers") or {}).items())
        options["token"] = run.setting("token")
    if kind == "ntfy":
        options["user"], options["password"] = run.setting("user"), run.setting("password")
    if kind == "teams":
        options["accepts"] = messages.teams_accepts
    body = getattr(messages, kind)(run)
    return lambda: client.post(url, body, headers=headers, **options)


def smtp(run):
    sender = mailbox(run.require("from", "the sender's address"))
    given = run.require("to", "the recipients' addresses")
    recipients = [mailbox(recipient) for recipient in ([given] if isinstance(given, str) else given)]
    tls = one_line(run.setting("tls", "starttls"))
    if tls not in ("starttls", "implicit", "none"):
        raise Failure("tls is one of starttls, implicit and none")
    host = one_line(run.require("host", "the mail server"))
    port = int(run.setting("port", 465 if tls == "implicit" else 587))
    if not host or any(character in host for character in "/@?# "):
        raise Failure("the host is no name of a mail server")
    url = f"{'smtps' if tls == 'implicit' else 'smtp'}://{host}:{port}"
    message = letter(run, sender, recipients)
    return lambda: client.submit(
        url, sender, recipients, message, run.inputs["timeout"], tls, run.setting("user"), run.setting("password"))


def main():
    kind = sys.argv[1]
    run = Run()
    # Headers carry credentials too.
    hidden = list(run.secrets.values()) + list((run.inputs.get("headers") or {}).values())
    redact = Redactor(hidden)
    perform(lambda: deliver(run, smtp(run) if kind == "email" else http(run, kind), redact), redact)


if __name__ == "__main__":
    main()
