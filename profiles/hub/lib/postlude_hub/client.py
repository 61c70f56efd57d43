"""curl as a client: for HTTP and SMTP, with one bound for the whole exchange, and nothing secret on its command line."""

import json
import os
import subprocess
import tempfile
import urllib.parse

from .delivery import Answer
from .run import Failure

CURL = "/usr/bin/curl"
# Of an answer, what is kept.
EXCERPT = 2000
# Worth another try besides 5xx, as RFC 9110 and RFC 6585 have it.
TEMPORARY = (408, 425, 429)


def quoted(value):
    """A value in a curl configuration: its own quoting, and never more than one line."""
    value = str(value)
    if any(character in value for character in "\r\n\0"):
        raise Failure("an address, a header or a password has a line's end in it")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def curl(options, timeout):
    """Runs curl with these options and returns its exit status, standard output and standard error.

    The options go to curl through a pipe: a command line can be read by every user of the host. What curl writes is
    read up to a bound, however much the receiver sends.
    """
    lines = [f"{name} = {quoted(value)}" if value is not True else name for name, value in options]
    reader, writer = os.pipe()
    os.write(writer, ("\n".join(lines) + "\n").encode("utf-8"))
    os.close(writer)
    try:
        process = subprocess.Popen(
            [CURL, "--disable", "--config", f"/dev/fd/{reader}", "--max-time", str(timeout)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(reader,))
    except FileNotFoundError:
        raise Failure(f"{CURL} is not there: install curl on the host") from None
    finally:
        os.close(reader)
    body = process.stdout.read(EXCERPT)
    process.stdout.close()
    errors = process.stderr.read(64 * 1024)
    process.stderr.close()
    return process.wait(), body.decode("utf-8", "replace").strip(), errors.decode("utf-8", "replace").strip()


def address(url):
    """The address, if it is one that HTTP can go to."""
    parts = urllib.parse.urlsplit(str(url))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure("the url is no http or https address")
    return str(url)


def post(url, body, timeout, headers=(), token=None, user=None, password=None, accepts=lambda code, text: True):
    """One POST of JSON. `accepts` looks at an answer of 2xx, for receivers that say no with it."""
    with tempfile.TemporaryDirectory() as directory:
        payload, head = os.path.join(directory, "body"), os.path.join(directory, "head")
        with open(payload, "wb") as file:
            file.write(body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode("utf-8"))
        options = [
            ("url", address(url)), ("silent", True), ("show-error", True), ("globoff", True), ("no-location", True),
            ("proto", "=http,https"), ("dump-header", head), ("suppress-connect-headers", True),
            ("data-binary", "@" + payload), ("user-agent", "postlude"),
            ("header", "Expect:"), ("header", "Content-Type: application/json"),
        ]
        options += [("header", f"{name}: {value}") for name, value in headers]
        if token is not None:
            options.append(("header", f"Authorization: Bearer {token}"))
        if user is not None:
            options.append(("user", f"{user}:{password or ''}"))
        status, text, errors = curl(options, timeout)
        code, wait = head_of(head)
    if code is None:
        return Answer(None, errors or f"curl ended with {status}", False, status not in REFUSED_BY_CURL)
    if 200 <= code < 300:
        if accepts(code, text):
            return Answer(code, text, True, False)
        return Answer(code, text, False, False)
    return Answer(code, text or "without a word", False, code >= 500 or code in TEMPORARY, wait)


# Of curl's exit statuses, those that say the same again: no such protocol, a malformed address, and bad certificates.
REFUSED_BY_CURL = (1, 2, 3, 60, 77)


def head_of(path):
    """The status and `Retry-After` of the last response in a file of headers."""
    code, wait = None, None
    try:
        with open(path, encoding="iso-8859-1") as file:
            lines = file.read(256 * 1024).splitlines()
    except FileNotFoundError:
        return None, None
    for line in lines:
        if line.startswith("HTTP/"):
            words = line.split()
            code, wait = (int(words[1]) if len(words) > 1 and words[1].isdigit() else None), None
            # An interim response is no answer.
            if code is not None and code < 200:
                code = None
        elif line.lower().startswith("retry-after:"):
            wait = line.split(":", 1)[1].strip()
    return code, wait


def submit(url, sender, recipients, message, timeout, tls, user=None, password=None):
    """One message to an SMTP server."""
    with tempfile.TemporaryDirectory() as directory:
        letter = os.path.join(directory, "letter")
        with open(letter, "wb") as file:
            file.write(message)
        options = [
            ("url", url), ("silent", True), ("show-error", True), ("verbose", True), ("upload-file", letter),
            ("proto", "=smtp,smtps"), ("mail-from", sender),
        ]
        options += [("mail-rcpt", recipient) for recipient in recipients]
        if tls == "starttls":
            options.append(("ssl-reqd", True))
        if user is not None:
            options.append(("user", f"{user}:{password or ''}"))
        status, _, trace = curl(options, timeout)
    lines = trace.splitlines()
    # Only what the server says: the trace of what was sent holds the password.
    answers = [line[2:].strip() for line in lines if line.startswith("< ") and line[2:5].isdigit()]
    if status == 0:
        return Answer(250, "accepted", True, False)
    told = [line for line in lines if line.startswith("curl: (")]
    refusal = next((answer for answer in reversed(answers) if answer[0] in "45"), None)
    if refusal is None:
        return Answer(None, told[-1] if told else f"curl ended with {status}", False, status not in REFUSED_BY_CURL)
    return Answer(int(refusal[:3]), refusal, False, refusal[0] == "4")
