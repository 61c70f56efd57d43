"""An rsync daemon on loopback: `rsync.py MODE DIRECTORY PASSWORD`. It prints its port.

MODE: accept; refuse (another password is right); hang (accepts connections, and never says a word); absent (nobody
listens).
"""

import os
import pathlib
import signal
import socket
import sys
import threading
import time

mode, directory, password = sys.argv[1:]
child = None


def end():
    sys.stdin.read()
    if child:
        os.kill(child, signal.SIGKILL)
    os._exit(0)


# It lives as long as its standard input: signals may be blocked where it was started from.
threading.Thread(target=end, daemon=True).start()
place = socket.socket()
place.bind(("127.0.0.1", 0))
port = place.getsockname()[1]
if mode in ("hang", "absent"):
    if mode == "hang":
        place.listen()
    print(port, flush=True)
    threading.Event().wait()
here = pathlib.Path(directory)
secrets = here / "secrets"
secrets.touch(mode=0o600)
secrets.write_text(f"ada:{password if mode == 'accept' else 'another'}\n")
(here / "store").mkdir(exist_ok=True)
(here / "rsyncd.conf").write_text(
    f"use chroot = no\naddress = 127.0.0.1\nport = {port}\npid file = {here}/pid\nlock file = {here}/lock\n"
    f"uid = {os.getuid()}\ngid = {os.getgid()}\n"
    f"[store]\npath = {here}/store\nread only = no\nauth users = ada\nsecrets file = {secrets}\n")
place.close()
child = os.fork()
if child == 0:
    # It must not keep the pipe open in which the test reads.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.execv("/usr/bin/rsync", ["rsync", "--daemon", "--no-detach", f"--config={here}/rsyncd.conf"])
# Told when it listens.
while True:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        break
    except OSError:
        time.sleep(0.02)
print(port, flush=True)
os.waitpid(child, 0)
