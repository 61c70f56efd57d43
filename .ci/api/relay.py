"""Carries bytes between a port of 127.0.0.1 and the agent's unix socket, as another user if so asked.

    relay.py SOCKET [UID]

Prints the port, and runs until its standard input ends. For clients of HTTP that know no unix sockets: the bytes are
not looked at, and the agent sees the relay's user.
"""

import asyncio
import os
import sys


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except ConnectionError:
        pass


async def main(path, uid):
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)

    async def serve(reader, writer):
        try:
            there, here = await asyncio.open_unix_connection(path)
        except OSError as error:
            print(f"relay: cannot connect to {path}: {error}", file=sys.stderr)
            writer.close()
            return
        await asyncio.gather(pump(reader, here), pump(there, writer))
        here.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, lambda: ended.set() if not os.read(0, 4096) else None)
    await ended.wait()
    os._exit(0)


asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))
