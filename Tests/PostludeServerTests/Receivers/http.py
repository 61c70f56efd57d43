"""An HTTP receiver on loopback: `http.py MODE`. It prints its port, then each request as a line of JSON.

MODE: accept; refuse (403, and gives the request's path back); hang (reads, and never answers); absent (nobody listens).
"""

import base64
import http.server
import json
import os
import socket
import sys
import threading

mode = sys.argv[1]
# It lives as long as its standard input: signals may be blocked where it was started from.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(json.dumps({
            "path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": base64.b64encode(body).decode()}), flush=True)
        if mode == "hang":
            threading.Event().wait()
        answer = b"ok" if mode == "accept" else f"no <such> \"hook\": {self.path}".encode()
        self.send_response(200 if mode == "accept" else 403)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


if mode == "absent":
    # The port is taken, so that nobody else gets it, and nobody listens on it.
    place = socket.socket()
    place.bind(("127.0.0.1", 0))
    print(place.getsockname()[1], flush=True)
    threading.Event().wait()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
