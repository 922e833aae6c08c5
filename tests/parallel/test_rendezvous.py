"""Processes that meet, as threads: all there and equal, or each told why not, within the time."""

import socket
import threading
import time

import pytest

from ulzoo.errors import RunError
from ulzoo.parallel.processes import _refuse_loopback
from ulzoo.parallel.rendezvous import Meeting, differences, meet
from ulzoo.peers import Peers, peers_of

FACTS = {"spec": "abc", "jax": "0.10.2"}


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def outcomes(*said, patience=20.0):
    """What each process is told; `said`: (index, count, facts)."""
    port, told = free_port(), {}

    def run(key, index, count, facts):
        try:
            meet(Meeting(f"localhost:{port}", count, index, patience), facts)
            told[key] = ""
        except RunError as error:
            told[key] = str(error)

    threads = [threading.Thread(target=run, args=(key, *what)) for key, what in enumerate(said)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [told[key] for key in range(len(said))]


def test_all_there_and_equal():
    assert outcomes(*((i, 4, FACTS) for i in range(4))) == ["", "", "", ""]


def test_one_that_is_unlike_the_others_is_told_to_all():
    other = {**FACTS, "jax": "0.12.0", "acme.net.v1": "acme 1.0"}
    expected = (
        "the processes of this run are not equal:\n"
        "    jax: 0.10.2 in process 0, 2; 0.12.0 in process 1\n"
        "    acme.net.v1: nothing in process 0, 2; acme 1.0 in process 1"
    )
    assert outcomes((0, 3, FACTS), (1, 3, other), (2, 3, FACTS)) == [expected] * 3
    assert differences([FACTS, FACTS]) == ""


def test_numbers_that_do_not_fit():
    assert outcomes((0, 2, FACTS), (1, 3, FACTS)) == ["process 1 speaks of 3 processes, process 0 of 2"] * 2
    told = outcomes((0, 3, FACTS), (1, 3, FACTS), (1, 3, FACTS), patience=5.0)
    assert told[0] == "two processes have the number 1; each needs a --process of its own"


def test_one_that_does_not_come_is_named_to_those_who_did():
    began = time.monotonic()
    told = outcomes((0, 4, FACTS), (2, 4, FACTS), patience=1.5)
    assert time.monotonic() - began < 15
    for text in told:
        assert text.startswith("processes 1, 3 of 4 did not appear at localhost:")
        assert " within 1.5 s\n    each needs the same --coordinator and --processes" in text
        assert "this machine itself: others cannot reach it so" in text


def test_process_0_that_is_not_there():
    began = time.monotonic()
    (told,) = outcomes((1, 2, FACTS), patience=1.0)
    assert time.monotonic() - began < 15
    assert told.startswith("process 0 was not reached at localhost:")
    assert "within 1 s: Connection refused\n" in told


def test_strangers_at_the_port_do_no_harm():
    port, told = free_port(), []

    def host():
        meet(Meeting(f"localhost:{port}", 2, 0, 20.0), FACTS)
        told.append("done")

    thread = threading.Thread(target=host)
    thread.start()
    for noise in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"[]\n",
        b'{"ulzoo": 1, "index": true, "count": 2, "facts": {}}\n',
    ):
        for _ in range(50):
            try:
                with socket.create_connection(("localhost", port), timeout=5) as stranger:
                    stranger.sendall(noise)
                break
            except OSError:
                time.sleep(0.05)
    meet(Meeting(f"localhost:{port}", 2, 1, 20.0), FACTS)
    thread.join(30)
    assert told == ["done"]


def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(RunError, match=rf"^--coordinator: cannot listen at port {port}: Addr"):
            meet(Meeting(f"localhost:{port}", 2, 0, 5.0), FACTS)


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"SLURM_STEP_NUM_NODES": "2"}, "localhost:1 is "),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_COMM_WORLD_SIZE": "4"}, "this machine itself, but the"),
    ],
)
def test_a_coordinator_that_is_this_machine_where_there_are_several(environment, text):
    for index in (0, 1):
        with pytest.raises(RunError, match=text):
            _refuse_loopback(Meeting("localhost:1", 2, index, 1.0), environment)
    _refuse_loopback(Meeting("localhost:1", 2, 0, 1.0), {})


# ---- what a process is told of the others --------------------------------------------------------------


def test_a_process_by_itself():
    assert peers_of({}) is None
    assert peers_of({"ULZOO_DISTRIBUTED": "0", "SLURM_STEP_NUM_TASKS": "8"}) is None
    assert peers_of({"SLURM_STEP_NUM_TASKS": "1"}) is None


def test_flags_come_before_variables():
    environment = {"ULZOO_COORDINATOR": "a:1", "ULZOO_PROCESSES": "4", "ULZOO_PROCESS": "0"}
    assert peers_of(environment) == Peers("a:1", 4, 0, 120)
    environment["ULZOO_PEER_SECONDS"] = "7"
    assert peers_of(environment, coordinator="[::1]:2", count=2, index=1) == Peers("[::1]:2", 2, 1, 7)
    assert peers_of({"ULZOO_DISTRIBUTED": "1"}) == Peers(None, None, None, 120)


@pytest.mark.parametrize(
    ("environment", "given", "text"),
    [
        ({}, {"coordinator": "a:1"}, "--processes and --process missing: several processes need all of"),
        ({}, {"coordinator": "a", "count": 2, "index": 0}, "--coordinator: must be host:port, got 'a'"),
        ({}, {"coordinator": "a:1", "count": 2, "index": 2}, "have the numbers 0 to 1, got 2"),
        ({"ULZOO_PROCESSES": "two"}, {}, "ULZOO_PROCESSES: must be a whole number of at least 1, got 'two'"),
        ({"ULZOO_DISTRIBUTED": "yes"}, {}, "ULZOO_DISTRIBUTED: must be 0 or 1, got 'yes'"),
        ({"SLURM_STEP_NUM_TASKS": "8"}, {}, "Slurm started 8 processes, and this one was not told whether"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, {}, "Open MPI started 2 processes"),
    ],
)
def test_what_cannot_be(environment, given, text):
    with pytest.raises(RunError, match=text.replace("(", r"\(")):
        peers_of(environment, **given)
