#!/usr/bin/env python3
"""Measure a whole agent at work beside ffmpeg grabbing the same screen at the same time: processor time and memory.

  agent.py [--seconds 30] [--idle-seconds 60] [--only typing,idle] [--size 1920x1080] [--json FILE]

For each kind of work a virtual desktop with real applications is played from the same seed. `playhead agent` records it
into a `playhead up` (capture, coding, queue on disk, sending), and so does, at the same time,
  ffmpeg -f x11grab -framerate 10 -c:v libx264rgb -preset ultrafast -qp 0
Both have taken their first picture before the measuring begins. Since they share desktop and machine, their ratio holds on
a busy machine too. Processor time is summed over the threads, in nanoseconds. PLAYHEAD names the program to measure,
target/release/playhead by default.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLAYHEAD = Path(os.environ.get("PLAYHEAD") or HERE.parent / "target/release/playhead")
ACTIVITIES = ["typing", "terminal", "browsing", "windows", "video", "idle"]
# Until the first windows stand and move no more.
WARM_UP = 12
# Until both recorders have taken and encoded their first picture and the agent's connection stands.
SETTLE = 6
# A still desktop is still only after cursors have stopped blinking.
SETTLE_IDLE = 25


@contextlib.contextmanager
def running(command, **options):
    """A program that is interrupted at the end, and killed if that does not end it."""
    process = subprocess.Popen(list(map(str, command)), **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def first_line(process, what):
    """The JSON object that a program prints when it is ready."""
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{what} ended before it was ready (exit code {process.wait()})")
    return json.loads(line)


def cpu(process_id):
    """Processor seconds so far of each thread of a process."""
    threads = {}
    for path in Path(f"/proc/{process_id}/task").iterdir():
        with contextlib.suppress(OSError):
            threads[path.name] = int((path / "schedstat").read_text().split()[0]) / 1e9
    return threads


def spent(before, after):
    """What threads have used between two looks. Threads that ended meanwhile are left out."""
    return sum(seconds - before.get(thread, 0.0) for thread, seconds in after.items())


def memory(process_id):
    """Resident, most resident, and own share of memory, in bytes."""
    names = {"VmRSS": "resident_bytes", "VmHWM": "most_resident_bytes", "Pss": "share_bytes"}
    found = {}
    for file in ("status", "smaps_rollup"):
        for line in Path(f"/proc/{process_id}/{file}").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in names:
                found[names[name]] = int(rest.split()[0]) * 1024
    return found


def child_named(parent, name):
    """The child of a process whose program has this name."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, tail = stat.read_text().rsplit(")", 1)
            if head.split("(", 1)[1] == name and tail.split()[1] == str(parent):
                return int(stat.parent.name)
    raise RuntimeError(f"process {parent} has no child {name}")


class Console:
    """A signed-in administrator of a `playhead up`."""

    def __init__(self, ready):
        self.url = ready["url"].rstrip("/")
        self.open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open
        self.call("sign-in", {"user": ready["user"], "password": ready["password"]})

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data, {"content-type": "application/json"})
        with self.open(request, timeout=30) as answer:
            return json.load(answer)

    def bytes_recorded(self):
        return sum(recording["bytes"] for recording in self.call("recordings")["items"])


@contextlib.contextmanager
def agent(place, folder, more=()):
    """Our agent, sending to a server on this machine."""
    environment = {**os.environ, "PLAYHEAD_LOG": "error"}
    command = [PLAYHEAD, "up", "--listen", "127.0.0.1:0", "--data", folder / "up", "--json"]
    with running(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        console = Console(first_line(server, "playhead up"))
        (folder / "token").write_text(console.call("join-tokens", {"kind": "agent"})["token"])
        settings = folder / "agent.toml"
        settings.write_text(
            f"data = {json.dumps(str(folder / 'agent'))}\n"
            f"[server]\njoin_file = {json.dumps(str(folder / 'token'))}\n"
            f"[[displays]]\ndisplay = {json.dumps(place['display'])}\n"
            f"xauthority = {json.dumps(place['xauthority'])}\n"
        )
        with running([PLAYHEAD, "agent", "--settings", settings, *more], env=environment) as process:
            yield process, console.bytes_recorded


@contextlib.contextmanager
def grab(place, folder):
    """ffmpeg's screen grabber with a lossless encoder."""
    output = folder / "grabbed.mkv"
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", "-f", "x11grab", "-framerate", "10", "-i", place["display"]]
    command += ["-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0", output]
    environment = {**os.environ, "XAUTHORITY": place["xauthority"]}
    with running(command, env=environment) as process:
        yield process, lambda: output.stat().st_size


def measure_one(activity, seconds, size, seed, more=()):
    """Both recorders on one desktop; CPU in seconds per second."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="playhead-bench.")))
        command = [PLAYHEAD, "bench", "desktop", "--work", folder / "w", "--size", size, "--seed", seed]
        command += ["--activity", activity]
        desktop = stack.enter_context(running(command, stdout=subprocess.PIPE, text=True))
        place = first_line(desktop, "playhead bench desktop")
        x_server = child_named(desktop.pid, "Xvfb")
        time.sleep(WARM_UP)
        ours, our_bytes = stack.enter_context(agent(place, folder, more))
        theirs, their_bytes = stack.enter_context(grab(place, folder))
        time.sleep(SETTLE_IDLE if activity == "idle" else SETTLE)
        processes = {"agent": ours.pid, "ffmpeg": theirs.pid, "x_server": x_server}
        sizes = {"agent": our_bytes, "ffmpeg": their_bytes}
        bytes_before = {name: size_now() for name, size_now in sizes.items()}
        before = {name: cpu(process) for name, process in processes.items()}
        began = time.monotonic()
        time.sleep(seconds)
        after = {name: cpu(process) for name, process in processes.items()}
        took = time.monotonic() - began
        for name, process in (("the agent", ours), ("ffmpeg", theirs)):
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended while it was measured (exit code {process.returncode})")
        result = {name: {"cpu": round(spent(before[name], after[name]) / took, 5)} for name in processes}
        for name, size_now in sizes.items():
            result[name]["bytes"] = size_now() - bytes_before[name]
            result[name].update(memory(processes[name]))
        result["seconds"] = round(took, 2)
        result["ratio"] = round(result["agent"]["cpu"] / max(result["ffmpeg"]["cpu"], 1e-9), 4)
        return result


def measure(seconds, idle_seconds, size, seed=1, tell=lambda line: None, only=None, more=()):
    """Every activity by its name, and "all", in which each counts for as long as the others."""
    result = {}
    for activity in only or ACTIVITIES:
        time_for = idle_seconds if activity == "idle" else seconds
        figures = measure_one(activity, time_for, size, seed, more)
        result[activity] = figures
        ours, theirs = figures["agent"], figures["ffmpeg"]
        tell(
            f"{activity:10} agent {ours['cpu']:.4f} CPU, ffmpeg {theirs['cpu']:.4f} CPU, ratio {figures['ratio']:.3f}; agent "
            f"{ours['resident_bytes'] / 1e6:.1f} MB resident, at most {ours['most_resident_bytes'] / 1e6:.1f}, its share "
            f"{ours['share_bytes'] / 1e6:.1f}; {ours['bytes'] / 1e6:.3f} MB to {theirs['bytes'] / 1e6:.3f}"
        )
    total = {name: sum(figures[name]["cpu"] for figures in result.values()) for name in ("agent", "ffmpeg")}
    result["all"] = {"ratio": round(total["agent"] / max(total["ffmpeg"], 1e-9), 4)}
    tell(f"{'all':10} ratio {result['all']['ratio']:.3f}")
    return result


def section(result, table, number):
    """The part of docs/benchmarks.md about the agent."""
    text = (
        "## The whole agent\n\n"
        "Capture, coding, queue on disk and sending, as one process, recording a live desktop of 1920x1080 into a "
        "`playhead up` on the same machine; at the same time, on the same desktop, ffmpeg grabbing it ten times a second into "
        "libx264rgb ultrafast qp 0. CPU is seconds per second (1 is one core), after both have taken their first picture. "
        "Memory is what is resident, programs and libraries included.\n\n"
    )
    rows = []
    for activity, row in result.items():
        if activity == "all":
            rows.append(["all", "", "", number(row["ratio"]), "", "", "", ""])
            continue
        ours, theirs = row["agent"], row["ffmpeg"]
        cells = [number(ours["cpu"]), number(theirs["cpu"]), number(row["ratio"])]
        sizes = [ours["bytes"], theirs["bytes"], ours["resident_bytes"], ours["most_resident_bytes"]]
        rows.append([activity, *cells, *(number(value / 1e6) for value in sizes)])
    head = ["work", "CPU", "ffmpeg's CPU", "ratio", "MB", "ffmpeg's MB", "memory (MB)", "most memory (MB)"]
    return text + table(head, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="length of each kind of work")
    parser.add_argument("--idle-seconds", type=float, default=60, help="length of the idle run")
    parser.add_argument("--only", help="some of " + ",".join(ACTIVITIES))
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mask", action="append", default=[], help="a mask for the agent")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    only = arguments.only.split(",") if arguments.only else None
    if wrong := set(only or []) - set(ACTIVITIES):
        parser.error(f"no such work: {', '.join(sorted(wrong))}; there is {', '.join(ACTIVITIES)}")
    more = [part for mask in arguments.mask for part in ("--mask", mask)]

    def tell(line):
        print(line, flush=True)

    result = measure(arguments.seconds, arguments.idle_seconds, arguments.size, arguments.seed, tell, only, more)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"agent.py: {error}")
