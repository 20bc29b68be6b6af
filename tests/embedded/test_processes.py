from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from postbeat.embedded.processes import Child, EmbeddedError, Processes

DEADLINE_S = 30.0
# It ignores SIGTERM, and a child of its own in a group of its own holds the pipe open.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
print("ready", flush=True)
time.sleep(600)
"""
PARENT = """
import os, sys, time
from pathlib import Path
from postbeat.embedded.processes import Processes
processes = Processes()
child = processes.start("child", [sys.executable, "-c", sys.argv[1]], env=os.environ, log=Path(sys.argv[2]))
child.wait_for(lambda: child.last_lines() or None, 10)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "child.log"


def python(processes: Processes, log: Path, program: str, *, grace_s: float = 5.0) -> Child:
    return processes.start(
        "the child", [sys.executable, "-c", program], env=os.environ, log=log, grace_s=grace_s
    )


def ended(child: Child) -> int:
    return child.wait_for(lambda: child.exit_code, DEADLINE_S)


def ready(child: Child, lines: int = 1) -> None:
    child.wait_for(lambda: child.last_lines().count("ready") == lines or None, DEADLINE_S)


def session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] not in "ZX":
            found.append(int(entry.name))
    return found


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true in time; what the kernel does by itself tells nobody."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_leaving_the_context_ends_all_children(tmp_path: Path) -> None:
    with Processes() as processes:
        children = [python(processes, tmp_path / name, "import time; time.sleep(600)") for name in "ab"]
        assert [child.exit_code for child in children] == [None, None]
    assert all(child.exit_code == -signal.SIGTERM for child in children)


def test_the_last_child_ends_first_and_then_come_the_callbacks(tmp_path: Path) -> None:
    program = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(sys.argv, time.monotonic_ns(), flush=True)))
print("ready", flush=True)
time.sleep(600)
"""
    order = []
    with Processes() as processes:
        children = [python(processes, tmp_path / name, program) for name in "ab"]
        for child in children:
            ready(child)
        processes.after_stop(lambda: order.append("first given"))
        processes.after_stop(lambda: order.append("last given"))
    times = [int(child.last_lines().split()[-1]) for child in children]
    assert times[0] > times[1]
    assert order == ["last given", "first given"]


def test_a_child_that_ignores_the_request_is_killed_with_all_of_its_session(log: Path) -> None:
    with Processes() as processes:
        child = python(processes, log, STUBBORN, grace_s=0.1)
        ready(child, 2)
        assert len(session(child.pid)) == 2
        child.end()
        assert child.exit_code == -signal.SIGKILL
        assert eventually(lambda: session(child.pid) == [])


def test_what_a_child_leaves_behind_is_killed(log: Path) -> None:
    with Processes() as processes:
        child = python(processes, log, "import os, time; os.fork() or time.sleep(600)")
        assert ended(child) == 0
        assert eventually(lambda: session(child.pid) == [])


def test_children_end_with_a_parent_that_is_killed(log: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, "print('ready', flush=True); import time; time.sleep(600)", str(log)],
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        watched = os.pidfd_open(child)
        try:
            parent.kill()
            # A process id's descriptor is readable once the process has ended.
            assert select.select([watched], [], [], DEADLINE_S)[0]
        finally:
            os.close(watched)


def test_a_child_whose_parent_has_ended_already_does_not_start() -> None:
    stub = Path(sys.modules["postbeat.embedded.child"].__file__ or "")
    stranger = str(os.getppid())
    started = subprocess.run(
        [sys.executable, stub, stranger, "--", "echo", "started"], capture_output=True, check=False
    )
    assert (started.returncode, started.stdout) == (127, b"")


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit_codes_are_told(processes: Processes, log: Path, code: int) -> None:
    child = python(processes, log, f"raise SystemExit({code})")
    assert ended(child) == code
    assert child in processes.poll()
    assert child.how_it_ended().startswith(f"the child ended with exit code {code}; {log} is empty")
    processes.end(child)
    assert child not in processes.poll()


def test_the_signal_that_killed_a_child_is_told(log: Path) -> None:
    with Processes() as processes:
        child = python(processes, log, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
        assert ended(child) == -signal.SIGSEGV
        assert child.how_it_ended().startswith("the child was killed by signal 11;")


def test_a_child_that_ends_too_early_is_an_error_with_its_last_lines(log: Path) -> None:
    log.write_text("from another run\n")
    with Processes() as processes:
        child = python(processes, log, "for n in range(100): print('line', n)\nraise SystemExit(4)")
        with pytest.raises(EmbeddedError) as caught:
            child.wait_for(lambda: None, DEADLINE_S)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"the child ended with exit code 4; the end of {log}:"
    assert lines[1:] == [f"line {number}" for number in range(90, 100)]


def test_lines_of_an_earlier_run_are_not_taken_for_its_own(log: Path) -> None:
    log.write_text("from another run\n")
    with Processes() as processes:
        child = python(processes, log, "")
        assert ended(child) == 0
        assert child.last_lines() == ""


def test_a_long_log_is_not_read_whole(log: Path) -> None:
    with Processes() as processes:
        child = python(processes, log, "print('x' * 10_000_000)")
        ended(child)
        assert len(child.last_lines()) < 100_000


def test_a_child_that_is_not_ready_in_time_is_an_error(log: Path) -> None:
    with Processes() as processes:
        child = python(processes, log, "import time; time.sleep(600)")
        with pytest.raises(EmbeddedError, match="the child was not ready after 0 seconds"):
            child.wait_for(lambda: None, 0.05)


def test_a_program_that_does_not_exist_is_named(log: Path) -> None:
    with Processes() as processes:
        child = processes.start("the child", ["/no/such/program"], env={}, log=log)
        assert ended(child) == 127
        assert child.last_lines() == "cannot start /no/such/program: No such file or directory"


def test_a_log_that_cannot_be_written_is_named(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"cannot start the child: .*no/such"):
        python(processes, tmp_path / "no" / "such", "")


def test_a_child_has_the_environment_that_it_is_given_and_no_other(log: Path) -> None:
    with Processes() as processes:
        child = processes.start("the child", ["/usr/bin/env"], env={"LC_ALL": "C", "ONLY": "this"}, log=log)
        assert ended(child) == 0
        assert child.last_lines() == "LC_ALL=C\nONLY=this"


def test_only_the_owner_can_read_a_log(processes: Processes, log: Path) -> None:
    ended(python(processes, log, ""))
    assert log.stat().st_mode & 0o777 == 0o600


def test_ctrl_c_in_a_terminal_reaches_the_parent_only(log: Path) -> None:
    with Processes() as processes:
        child = python(processes, log, "import time; time.sleep(600)")
        assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
