"""An SMTP server on loopback: `smtp.py MODE PASSWORD`. It prints its port, then each message as a line of JSON.

MODE: accept; refuse (535 to every login); hang (accepts connections, and never says a word); absent (nobody listens).
Needs Debian's python3-aiosmtpd.
"""

import base64
import json
import os
import socket
import sys
import threading

mode, password = sys.argv[1:]
# It lives as long as its standard input: signals may be blocked where it was started from.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()


class Handler:
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            "sender": envelope.mail_from, "recipients": envelope.rcpt_tos, "login": session.auth_data,
            "body": base64.b64encode(envelope.content).decode()}), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    from aiosmtpd.smtp import AuthResult

    good = mode == "accept" and data.login == b"ada" and data.password == password.encode()
    return AuthResult(success=good, handled=good, auth_data=data.login.decode())


if mode in ("hang", "absent"):
    place = socket.socket()
    place.bind(("127.0.0.1", 0))
    if mode == "hang":
        place.listen()
    print(place.getsockname()[1], flush=True)
    threading.Event().wait()
from aiosmtpd.controller import Controller

place = socket.socket()
place.bind(("127.0.0.1", 0))
port = place.getsockname()[1]
place.close()
controller = Controller(
    Handler(), hostname="127.0.0.1", port=port, authenticator=authenticate, auth_require_tls=False, auth_required=True)
controller.start()
print(port, flush=True)
threading.Event().wait()
