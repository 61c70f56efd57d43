"""A webhook receiver for the example: prints its address, then appends the body of each request to a file."""

import http.server
import pathlib
import signal
import sys


def main() -> int:
    target = pathlib.Path(sys.argv[1])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with open(target, "ab") as file:
                file.write(body.rstrip(b"\n") + b"\n")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    sys.stdout.close()
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
