"""Servers on the loopback address: nginx (or Python, where there is no nginx) for files, hosts that never answer, and one
that answers with more than anybody wants."""

import asyncio
import contextlib
import functools
import http.server
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

NGINX = """
daemon off;
worker_processes 1;
pid {scratch}/pid;
error_log stderr crit;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  types {{ image/jpeg jpg; }}
  client_body_temp_path {scratch}/body;
  proxy_temp_path {scratch}/proxy;
  fastcgi_temp_path {scratch}/fastcgi;
  uwsgi_temp_path {scratch}/uwsgi;
  scgi_temp_path {scratch}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def files(root):
    """Serves a folder; gives (address, name of the server)."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    with nginx(binary, root) if binary else python(root) as address:
        yield address, "nginx" if binary else "Python's http.server"


@contextlib.contextmanager
def nginx(binary, root):
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(NGINX.format(scratch=scratch, port=port, root=Path(root).resolve(), user=user))
        child = subprocess.Popen([binary, "-p", scratch, "-e", "stderr", "-c", config])
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait()


@contextlib.contextmanager
def python(root):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def wait_for(port):
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


@contextlib.contextmanager
def silent_hosts(count):
    """Addresses where connections stand and nothing is ever answered: the system completes them, nobody reads them."""
    with contextlib.ExitStack() as stack:
        port = free_port()
        for last in range(2, 2 + count):
            listener = stack.enter_context(socket.socket())
            listener.bind((f"127.0.0.{last}", port))
            listener.listen(256)
        yield [f"http://127.0.0.{last}:{port}" for last in range(2, 2 + count)]


@contextlib.contextmanager
def endless(head):
    """Answers every request with the head and then zeros, until the client has had enough."""
    loop = asyncio.new_event_loop()

    async def answer(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nConnection: close\r\n\r\n" + head)
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
