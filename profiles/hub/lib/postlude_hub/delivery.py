"""Delivers a message: tries, waits and tries again, and tells what the receiver answered without telling secrets."""

import base64
import email.utils
import html
import json
import sys
import time
import urllib.parse

from .run import Failure, one_line, record

LONGEST_PAUSE = 60.0


class Answer:
    """What came of one try. `code` is None when the receiver did not answer."""

    def __init__(self, code, text, delivered, again, wait=None):
        self.code = code
        self.text = text
        self.delivered = delivered
        self.again = again
        self.wait = wait


class Redactor:
    """Takes secrets out of texts, also in the forms that a receiver or a client may give back."""

    def __init__(self, secrets):
        forms = set()
        for secret in secrets:
            secret = str(secret)
            parts = {secret}
            if "://" in secret:
                address = urllib.parse.urlsplit(secret)
                # The host alone is no secret; the way there is.
                parts |= {address.path, address.query, address.password, address.username, address.netloc}
                parts |= {part for part in address.path.split("/")}
                parts |= {value for _, value in urllib.parse.parse_qsl(address.query)}
                if address.username is None:
                    parts.discard(address.netloc)
            for part in parts:
                if part is None or len(part) < 4:
                    continue
                forms |= {
                    part, urllib.parse.quote(part, safe=""), urllib.parse.quote(part), html.escape(part),
                    json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1], one_line(part),
                    base64.b64encode(part.encode()).decode(), urllib.parse.unquote(part),
                }
        self.forms = sorted((form for form in forms if len(form) >= 4), key=len, reverse=True)

    def __call__(self, message):
        for form in self.forms:
            message = message.replace(form, "[redacted]")
        return message


def deliver(run, send, redact):
    """Calls `send` until it delivers, will not, or has been called often enough."""
    tries, answer = 0, None
    attempts = run.inputs["attempts"]
    while tries < attempts:
        tries += 1
        answer = send()
        shown = one_line(redact(answer.text))[:500]
        if answer.delivered:
            print(f"delivered: {answer.code}, try {tries}", flush=True)
            record({"status_code": answer.code, "tries": tries})
            return
        code = "no answer" if answer.code is None else answer.code
        print(f"try {tries}: {code}: {shown}", file=sys.stderr, flush=True)
        if not answer.again:
            break
        if tries < attempts:
            time.sleep(pause(answer.wait, tries))
    record({"status_code": answer.code, "tries": tries})
    said = f"the receiver answered {answer.code}" if answer.code is not None else "no answer"
    raise Failure(f"not delivered after {tries} tries: {said}: {one_line(redact(answer.text))[:500]}")


def pause(retry_after, tries):
    """Seconds until the next try: growing, at least what the receiver asks for, and bounded."""
    try:
        asked = float(retry_after)
    except (TypeError, ValueError):
        try:
            asked = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError, AttributeError):
            asked = 0.0
    if asked != asked:
        asked = 0.0
    return max(0.0, min(LONGEST_PAUSE, max(asked, 0.5 * 2 ** (tries - 1))))
