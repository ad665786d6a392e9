"""nginx and HAProxy in the proxy's place, where they are installed: same backends, same load, their own policies.

Each runs with a generated configuration in a temporary directory, in the foreground, below a child process of ours that
ends it (by its process id) when we end.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from distlib.balancing.policies import LeastRequest, Random, RoundRobin
from distlib.balancing.real.proxy import IDLE_CONNECTIONS
from distlib.core import require
from distlib.real.child import Child, ChildError, Closed
from distlib.real.http_connection import HOST
from distlib.sim.service.policy import Policy

ATTEMPTS = 5


class CannotMeasureError(RuntimeError):
    """The program is not on this machine, or cannot balance like this policy; the message says which."""


METHODS: dict[Policy, tuple[str, str]] = {
    Random(): ("random;", "random(1)"),
    RoundRobin(): ("", "roundrobin"),
    LeastRequest(): ("least_conn;", "leastconn"),
    LeastRequest(2): ("random two least_conn;", "random(2)"),
}
"""The policies that both programs have, and their words for them: nginx, HAProxy."""


def nginx_configuration(method: str, ports: Sequence[int], port: int, home: Path) -> str:
    """``nginx.conf``: one worker process, so that it knows all traffic; failures are not held against a backend."""
    servers = "\n".join(f"        server {HOST}:{one} max_fails=0;" for one in ports)
    temporary = "\n".join(
        f"    {use}_temp_path {home}/{use};" for use in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000;
{temporary}
    upstream backends {{
        {method}
{servers}
        keepalive {IDLE_CONNECTIONS * len(ports)};
        keepalive_requests 1000000;
    }}
    server {{
        listen {HOST}:{port} backlog=1024;
        location = /ready/{home.name} {{ return 200 {home.name}; }}
        location / {{
            proxy_pass http://backends;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 120s;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""


def haproxy_configuration(method: str, ports: Sequence[int], port: int, home: Path) -> str:
    """``haproxy.cfg``: one thread, so that it knows all traffic."""
    servers = "\n".join(
        f"    server backend{number} {HOST}:{one} pool-max-conn {IDLE_CONNECTIONS}" for number, one in enumerate(ports)
    )
    return f"""\
global
    maxconn 4096
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 120s
    timeout server 120s
    http-reuse always
frontend front
    bind {HOST}:{port}
    http-request return status 200 content-type text/plain string {home.name} if {{ path /ready/{home.name} }}
    default_backend backends
backend backends
    balance {method}
{servers}
"""


Configuration = Callable[[str, Sequence[int], int, Path], str]
PROGRAMS: dict[str, tuple[str, tuple[str, ...], Configuration]] = {
    "nginx": ("nginx", ("-p", "{home}", "-e", "stderr", "-c"), nginx_configuration),
    "HAProxy": ("haproxy", ("-db", "-f"), haproxy_configuration),
}
"""Name: (program, arguments before the configuration's path, what writes the configuration), as in ``METHODS``."""


def find(name: str) -> str:
    """Path of the program; ``CannotMeasureError`` when there is none, ``ValueError`` for an unknown name."""
    program = PROGRAMS[require.choice("proxy", name, PROGRAMS)][0]
    beside = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    path = shutil.which(program, path=beside)
    if path is None:
        raise CannotMeasureError(
            f"{name} is not installed, so nothing was measured through it "
            f"(to add it: apt-get install {program}, or brew install {program})"
        )
    return path


class ProductionProxy(Closed):
    """A running nginx or HAProxy, ended on leaving the ``with`` block. Raises ``CannotMeasureError``, and
    ``ChildError`` with the program's own words when it will not start."""

    def __init__(self, name: str, policy: Policy, ports: Sequence[int]) -> None:
        self.name = name
        path = find(name)
        if policy not in METHODS:
            raise CannotMeasureError(
                f"{name} has no policy like {policy.label!r} here; it is set up for random, round robin, "
                "least request and least request of 2"
            )
        self._home = tempfile.TemporaryDirectory(prefix="balancing")
        self._child: Child | None = None
        try:
            self._start(path, METHODS[policy][list(PROGRAMS).index(name)], ports)
        except BaseException:
            self.close()
            raise

    def _start(self, path: str, method: str, ports: Sequence[int]) -> None:
        _, arguments, configuration = PROGRAMS[self.name]
        home = Path(self._home.name)
        for attempt in range(ATTEMPTS):  # another program may take the free port before this one does
            self.port = free_port()
            home.mkdir(exist_ok=True)  # the child of a failed attempt has removed it
            file = home / "configuration"
            file.write_text(configuration(method, ports, self.port, home))
            command = [path, *(one.format(home=home) for one in arguments), str(file)]
            task = {"command": command, "port": self.port, "token": home.name, "home": str(home)}
            self._child = Child("distlib.real.foreign", task)
            try:
                self.pid = int(self._child.hear()["pid"])
                return
            except ChildError as error:
                self._child.close()
                if attempt == ATTEMPTS - 1 or "in use" not in str(error):
                    raise

    def close(self) -> None:
        """End the program and remove its directory."""
        if self._child is not None:
            self._child.close()
        self._home.cleanup()


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
