"""A replica of a video site that answers every address at once with one of a few tiny clips.

`python replica_server.py FOLDER` in a process of its own, so that its cost is nobody else's. Says
its port, then serves the files of FOLDER until standard input ends; the clip is picked by the
address, so that the same address has the same bytes.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from pathlib import Path


async def serve(clips: list[bytes]) -> None:
    """Serve `clips` until standard input ends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.split(b" ", 2)
                body = clips[zlib.crc32(path) % len(clips)]
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n"
                    b"Content-Length: %d\r\n\r\n" % len(body)
                )
                if method == b"GET":
                    writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has what it wanted
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve([path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]))
