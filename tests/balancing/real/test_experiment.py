"""Real HTTP servers, proxies and load on loopback. No test looks at absolute speed: a busy machine shall fail none."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from distlib.balancing.policies import JoinIdleQueue, KeyAffinity, LeastRequest, LeastResponseTime, Random, RoundRobin
from distlib.balancing.real.experiment import (
    MOST_CONNECTIONS,
    Measurement,
    Workers,
    check_workload,
    measure,
    percentiles_ms,
)
from distlib.balancing.real.production_proxy import free_port
from distlib.balancing.real.proxy import ProxyThread
from distlib.balancing.real.workers import Worker
from distlib.real.child import Child, ChildError
from distlib.real.http_connection import HOST, Connection
from distlib.sim.service.balancer import Balancer
from distlib.sim.service.params import Backends, ServiceParams
from distlib.sim.service.policy import CentralQueue, Policy
from distlib.sim.service.service import simulate
from distlib.sim.workload import Exponential, Floats, Poisson, Workload
from tests.processes import alive, all_gone, children_of

CLIENTS = 50


def schedule(requests: int = 120, rate_per_s: float = 400.0, work_s: float = 0.002) -> Workload:
    rng = np.random.default_rng(7)
    arrival, work = np.cumsum(rng.exponential(1 / rate_per_s, requests)), rng.exponential(work_s, requests)
    return given(arrival, work, rng.integers(0, CLIENTS, requests).astype(np.int32))


def given(arrival: Floats, work: Floats, client: NDArray[np.int32] | None = None) -> Workload:
    one = np.zeros(1, np.int32)
    return Workload(arrival, work, one, one if client is None else client)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers((1.0, 1.0, 1.0, 1.0)) as running:
        yield running


def run(policy: Policy, workers: Workers, load: Workload) -> Measurement:
    with ProxyThread(policy, workers.ports, seed=3, clients=CLIENTS) as proxy:
        return measure(load, proxy.port)


# --- every request, once, to whom the policy says ----------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    [Random(), RoundRobin(), LeastRequest(2), LeastRequest(), LeastResponseTime(), JoinIdleQueue(), KeyAffinity()],
    ids=lambda policy: policy.label,
)
def test_every_request_is_answered_once_by_the_backend_that_the_policy_chose(policy: Policy, workers: Workers) -> None:
    load = schedule()
    measured = run(policy, workers, load)
    assert measured.lost == 0
    assert (measured.answers == 1).all() and (measured.status == 200).all()
    assert measured.counts.sum() == measured.requests == 120
    assert (measured.sent_s >= load.arrival_s).all()  # nothing leaves before its time
    assert (measured.overhead_s > -1e-3).all()  # no answer is faster than queue and work (told to 0.1 µs)
    np.testing.assert_allclose(measured.work_s, load.service_s, atol=1e-6)

    if isinstance(policy, (Random, RoundRobin)):  # blind: the same choices in the same order as by hand
        balancer = Balancer(policy, 4, seed=3)
        by_hand = np.bincount([balancer.choose(0.0) for _ in range(120)], minlength=4)
        np.testing.assert_array_equal(measured.counts, by_hand)
    if isinstance(policy, KeyAffinity):
        order = policy.preference(4, CLIENTS)
        assert order is not None
        np.testing.assert_array_equal(measured.backend, order[load.client, 0])


def test_a_policy_written_by_the_reader_runs_before_real_servers(workers: Workers) -> None:
    class LastOne(Policy):
        def choose(self, seen: Balancer, now: float, client: int) -> int:
            return seen.available[-1]

    measured = run(LastOne(), workers, schedule(20))
    assert measured.lost == 0
    assert measured.counts.tolist() == [0, 0, 0, 20]


def test_a_slow_worker_takes_longer_and_gets_less_under_least_request() -> None:
    """Speeds 1 and 1/10 at 70 % of their joint capacity: half each would be 385 % of what the slow one can do.

    Balanced by need it gets about an eleventh; a third leaves room for chance and a busy machine.
    """
    load = schedule(200, rate_per_s=0.7 * 1.1 / 0.004, work_s=0.004)
    with Workers((1.0, 0.1)) as two:
        measured = run(LeastRequest(), two, load)
    assert measured.lost == 0
    assert 0 < measured.counts[1] < 200 / 3
    slow = measured.backend == 1
    np.testing.assert_allclose(measured.work_s[slow], 10 * load.service_s[slow], atol=1e-6)


# --- no coordinated omission -------------------------------------------------------------------------------


def test_a_stalled_worker_shows_up_in_the_percentiles_of_intended_times() -> None:
    """100 requests/s over one connection; number 30 stalls for 0.8 s, so some 80 others meet the stall.

    Counted from the intended time all of those are slow: 70 wait more than 50 ms, whatever the machine does besides.
    Counted from the sending, only the stalled one is for sure: the others were not even sent meanwhile.
    """
    arrival = np.arange(150) / 100
    work = np.full(150, 0.0005)
    work[30] = 0.8
    with Workers((1.0,)) as one, ProxyThread(RoundRobin(), one.ports) as proxy:
        measured = measure(given(arrival, work), proxy.port, connections=1)
    assert measured.lost == 0
    slow, reported = (measured.response_s > 0.05).sum(), (measured.since_sent_s > 0.05).sum()
    assert slow >= 70
    assert 1 <= reported < slow / 3
    assert percentiles_ms(measured.response_s, (75,))[0] > 50
    assert measured.late_s.max() > 0.7  # it knows that it was late


def test_a_stall_holds_up_only_those_behind_it(workers: Workers) -> None:
    """The same with free connections and round robin over four: a fourth of the requests meets the stall."""
    work = np.full(120, 0.0005)
    work[40] = 0.6
    measured = run(RoundRobin(), workers, given(np.arange(120) / 200, work))
    behind = np.flatnonzero(measured.queue_s > 0.1)
    assert len(behind) >= 15
    assert (measured.backend[behind] == measured.backend[40]).all()  # two that arrive together may swap their turns


# --- workers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("servers", [1, 3])
def test_a_worker_keeps_the_simulators_times(servers: int) -> None:
    """Same arrivals, same work: begin and end of every service equal the simulation's, but for what rounding leaves."""
    simulated = simulate(
        ServiceParams(
            policy=RoundRobin(), arrivals=Poisson(1.2 * servers), service=Exponential(mean_s=1.0),
            backends=Backends(1, servers=servers, speeds=(1.5,)), requests=2000,
        )
    )  # fmt: skip
    worker = Worker(0, 1.5, servers)
    served = [worker.take(*one) for one in zip(simulated.arrival_s.tolist(), simulated.service_s.tolist(), strict=True)]
    begin, end = np.array(served).T
    np.testing.assert_allclose(begin, simulated.start_s, rtol=1e-12)
    np.testing.assert_allclose(end, simulated.departure_s, rtol=1e-12)


def ask(port: int, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = HTTPConnection(HOST, port, timeout=20)
    try:
        connection.request(method, "/", headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "1e9"])
def test_a_worker_refuses_work_that_is_no_time(workers: Workers, text: str) -> None:
    status, said = ask(workers.ports[0], Service_Time=text)
    assert status == 400
    assert f"Service-Time is {text!r}; it takes seconds from 0 to 60" in said


def test_a_worker_answers_a_plain_client(workers: Workers) -> None:
    assert ask(workers.ports[2]) == (200, "backend 2\n")


# --- the proxy ---------------------------------------------------------------------------------------------


def test_a_proxy_answers_for_a_backend_that_is_gone_and_for_none_left() -> None:
    with socket.create_server((HOST, 0)) as taken:
        closed = taken.getsockname()[1]
    with ProxyThread(RoundRobin(), [closed]) as front:
        status, said = ask(front.port)
        assert status == 502 and "backend 0" in said
        assert front.balancer.in_flight == [0]
        front.balancer.eject(0)
        status, said = ask(front.port)
        assert status == 503 and "all 1 backends are ejected" in said
        assert ask(front.port, Client="you")[0] == 400


def test_a_client_that_leaves_is_not_counted_for_ever(workers: Workers) -> None:
    with ProxyThread(LeastRequest(), workers.ports) as front:
        with socket.create_connection((HOST, front.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nService-Time: 0.2\r\n\r\n")
            end = time.monotonic() + 10
            while sum(front.balancer.in_flight) == 0 and time.monotonic() < end:
                time.sleep(0.005)
            assert sum(front.balancer.in_flight) == 1
        while sum(front.balancer.in_flight) and time.monotonic() < end:
            time.sleep(0.02)
        assert sum(front.balancer.in_flight) == 0


def test_a_backend_that_closed_an_idle_connection_is_asked_again() -> None:
    """The server hangs up after each answer without having said so."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def serve(server: socket.socket) -> None:
        for _ in range(3):
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        with ProxyThread(RoundRobin(), [server.getsockname()[1]]) as front:
            assert [ask(front.port) for _ in range(3)] == [(200, "ok")] * 3
        thread.join(10)


def test_small_messages_leave_at_once(workers: Workers) -> None:
    async def no_delay() -> int:
        connection = await Connection.open(HOST, workers.ports[0])
        try:
            there = connection.writer.get_extra_info("socket")
            return int(there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        finally:
            connection.close()

    assert asyncio.run(no_delay()) != 0


def test_it_runs_where_an_event_loop_runs_already(workers: Workers) -> None:
    """As in Jupyter."""

    async def cell() -> Measurement:
        return run(RoundRobin(), workers, schedule(8))

    assert asyncio.run(cell()).counts.tolist() == [2, 2, 2, 2]


# --- nothing is left behind --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_ends_every_process_thread_and_socket(error: type[BaseException]) -> None:
    def interrupt(done: float, total: float) -> None:
        assert total == 400
        if done:
            seen.extend(children_of(os.getpid()))
            raise error

    seen: list[int] = []
    with pytest.raises(error), Workers((1.0, 1.0)) as two, ProxyThread(RoundRobin(), two.ports) as proxy:
        mine = two.pid
        measure(schedule(400, rate_per_s=100), proxy.port, progress=interrupt)
    assert mine in seen and len(seen) >= 2  # workers and load generator were there
    assert all_gone(sorted({mine, *(one for one in seen if one not in children_of(os.getpid()))}))
    assert not alive(mine)
    assert not [one for one in threading.enumerate() if one.name == "proxy"]
    for port in (*two.ports, proxy.port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port), timeout=5).close()


def test_a_killed_parent_leaves_no_child(tmp_path: Path) -> None:
    """As when a kernel is restarted: SIGKILL runs no clean-up of ours. A foreign program goes too."""
    port, home = free_port(), tmp_path / "home"
    home.mkdir()
    program = tmp_path / "program.py"
    program.write_text(
        "from http.server import BaseHTTPRequestHandler, HTTPServer\n"
        "class Echo(BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.send_header('Content-Length', str(len(self.path)))\n"
        "        self.end_headers()\n"
        "        self.wfile.write(self.path.encode())\n"
        f"HTTPServer(('127.0.0.1', {port}), Echo).serve_forever()\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from distlib.real.child import Child\n"
        "workers = Child('distlib.balancing.real.workers', {'speeds': [1.0], 'servers': 1})\n"
        "workers.hear()\n"
        f"task = {{'port': {port}, 'token': 'abc', 'home': {str(home)!r}}}\n"
        f"task['command'] = [sys.executable, {str(program)!r}]\n"
        "foreign = Child('distlib.real.foreign', task)\n"
        "print(workers.pid, foreign.pid, foreign.hear()['pid'], flush=True)\n"
        "time.sleep(60)\n"
    )
    root = str(Path(__file__).parents[3])
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert parent.stdout is not None
    with parent.stdout:
        pids = [int(one) for one in parent.stdout.readline().split()]
    assert len(pids) == 3 and all(map(alive, pids))
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    assert all_gone(pids)
    assert not home.exists()


# --- what a person can get wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Workers(()), "the number of workers is 0; it takes a whole number from 1 to 16"),
        (lambda: Workers((1.0,) * 17), "the number of workers is 17"),
        (lambda: Workers((1.0, 0.0)), r"speeds\[1\] is 0.0; it takes a number above 0"),
        (lambda: Workers((1.0,), servers=0), "servers is 0"),
        (
            lambda: check_workload(given(np.zeros(0), np.zeros(0))),
            "arrival_s has 0 requests; it takes from 1 to 100,000",
        ),
        (lambda: check_workload(given(np.zeros(2), np.zeros(3))), "2 arrival times, 3 service times"),
        (lambda: check_workload(given(np.array([1.0, 0.5]), np.zeros(2))), "never decrease"),
        (lambda: check_workload(given(np.array([np.inf]), np.zeros(1))), "finite times"),
        (
            lambda: check_workload(given(np.array([9e9]), np.zeros(1))),
            r"after 9e\+09 s; a real run takes at most 120 s",
        ),
        (lambda: check_workload(given(np.zeros(1), np.array([-1.0]))), "service_s takes times from 0 to 60 s"),
        (lambda: ProxyThread(RoundRobin(), []), "backends is 0; a balancer needs at least one"),
        (lambda: ProxyThread(RoundRobin(), [1], port=70_000), "port is 70000; it takes a whole number from 0"),
        (lambda: ProxyThread(CentralQueue(), [1]), "a central queue makes no choice"),
        (lambda: percentiles_ms(np.ones(1), (101,)), "percent is 101; it takes a number from 0 to 100"),
        (lambda: percentiles_ms(np.array([1e5]), (50,)), "a latency of 100000 s"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_a_port_in_use_is_named(workers: Workers) -> None:
    port = workers.ports[0]
    with pytest.raises(ValueError, match=f"port {port} cannot be used .*; take another, or 0 for any free one"):
        ProxyThread(RoundRobin(), workers.ports, port=port)
    assert not [one for one in threading.enumerate() if one.name == "proxy"]


@pytest.mark.parametrize("connections", [0, MOST_CONNECTIONS + 1, True])
def test_a_bad_number_of_connections_is_named(connections: int, workers: Workers) -> None:
    with (
        ProxyThread(RoundRobin(), workers.ports) as proxy,
        pytest.raises((TypeError, ValueError), match=f"connections is {connections!r}; it takes a whole number from 1"),
    ):
        measure(schedule(2), proxy.port, connections=connections)


def test_a_child_that_fails_says_why() -> None:
    with (
        Child("distlib.balancing.real.workers", {"speeds": [1.0]}) as child,
        pytest.raises(ChildError, match="KeyError: 'servers'"),
    ):
        child.hear()


def test_lost_requests_are_counted_and_not_invented() -> None:
    """Nobody listens: no answer, no latency, and percentiles that say so."""
    with socket.create_server((HOST, 0)) as taken:
        closed = taken.getsockname()[1]
    measured = measure(schedule(5), closed)
    assert measured.lost == 5 and measured.answers.tolist() == [0] * 5
    assert np.isnan(percentiles_ms(measured.response_s, (99,)))


def test_percentiles_have_three_digits_and_the_nearest_rank() -> None:
    values = np.arange(1, 1001) / 1e3
    assert percentiles_ms(values, (50, 99, 99.9, 100)) == pytest.approx([500, 990, 999, 1000], rel=1e-3)
