"""A message by e-mail: text and HTML. No text of a run gets into a header as more than a line of words."""

import email.message
import email.policy
import email.utils
import html
import re

from .run import Failure, cut, one_line

# Enough to keep envelopes well-formed; whether an address exists is the server's to say.
ADDRESS = re.compile(r"[^\s<>@\"(),:;\\\[\]\x00-\x20]+@[^\s<>@\"(),:;\\\x00-\x20]+")


def mailbox(value):
    value = one_line(value)
    if not ADDRESS.fullmatch(value):
        raise Failure(f"'{cut(value, 80)}' is no e-mail address")
    return value


def letter(run, sender, recipients):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    # RFC 5322 bounds lines, and receivers cut subjects long before that.
    message["Subject"] = cut(one_line(run.title), 200)
    message["Date"] = email.utils.formatdate(localtime=False)
    message["Message-ID"] = email.utils.make_msgid(domain=sender.rsplit("@", 1)[1])
    message["Auto-Submitted"] = "auto-generated"
    message["X-Postlude-Run"] = one_line(run.main.get("uuid"))
    facts = run.facts()
    tail = run.log_tail() if run.inputs.get("logs") else ""
    lines = [run.title, "", cut(run.details, 4000), ""]
    lines += [f"{one_line(name)}: {cut(one_line(value), 500)}" for name, value in facts]
    if tail:
        lines += ["", tail]
    message.set_content("\n".join(lines) + "\n")
    rows = "".join(
        f"<tr><th align=\"left\">{html.escape(one_line(name))}</th><td>{html.escape(cut(one_line(value), 500))}</td></tr>"
        for name, value in facts)
    page = (
        "<!DOCTYPE html><html><head><meta charset=\"utf-8\"></head><body>"
        f"<h2 style=\"color:{run.colour}\">{html.escape(one_line(run.title))}</h2>"
        f"<p>{html.escape(cut(run.details, 4000))}</p><table>{rows}</table>"
        + (f"<pre>{html.escape(tail)}</pre>" if tail else "") + "</body></html>\n")
    message.add_alternative(page, subtype="html")
    return bytes(message)
