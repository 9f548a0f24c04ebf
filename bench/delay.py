#!/usr/bin/env python3
"""How long a change on a desktop takes to a reviewer's canvas, while the server takes in many other sessions.

  delay.py [--sessions 500] [--changes 60] [--json OUT]

Starts a `playhead up`, a virtual display of 1920x1080 with an agent, as many sessions of `playhead bench load` as are wanted, and a real browser that
watches the display live. Then the display's colour changes again and again, at random times; counted is the time from before the change
until the page finds the colour on its canvas. PLAYHEAD names the program to measure, target/release/playhead by default. Needs chromium,
chromium-driver, xvfb and xsetroot.
"""
import argparse, contextlib, json, os, random, subprocess, sys, tempfile, threading, time, urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from browser import player

PLAYHEAD = os.environ.get("PLAYHEAD") or str(Path(__file__).resolve().parent.parent / "target/release/playhead")

# Of the one display that is not made up.
HOST = "watched"

LOOK = (Path(__file__).resolve().parent.parent / "crates/testsuite/src/await_colour.js").read_text()


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def token(data, uses):
    made = subprocess.run([PLAYHEAD, "token", "--kind", "agent", "--data", data, "--uses", str(uses), "--valid-minutes", "60", "--json"],
                          check=True, capture_output=True, text=True)
    return json.loads(made.stdout)["token"]


def wait_for(what, condition, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    sys.exit(f"waited {seconds} s in vain for {what}")


def changes(browser, display, count):
    """Milliseconds from each change to the canvas."""
    chance = random.Random(1)
    delays = []
    for number in range(count):
        colour = (16 + number * 7 % 200, 32 + number * 5 % 190, 48 + number * 3 % 180)
        found = []

        def look():
            answer = browser.call(f"/session/{browser.session}/execute/async", {"script": LOOK, "args": list(colour)})
            found.append((answer, time.monotonic()))

        looking = threading.Thread(target=look)
        looking.start()
        # So that the page already looks, and not in step with anything.
        time.sleep(chance.uniform(0.2, 0.5))
        began = time.monotonic()
        subprocess.run(["xsetroot", "-display", display, "-solid", "#%02x%02x%02x" % colour], check=True)
        looking.join()
        if not found or not found[0][0]:
            sys.exit(f"change {number} never came")
        delays.append((found[0][1] - began) * 1000)
    return delays


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--json")
    a = parser.parse_args()
    quiet = {"stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory(prefix="playhead-delay-") as work, contextlib.ExitStack() as stack:
        data = f"{work}/data"
        up = stack.enter_context(running(
            [PLAYHEAD, "--log", "warn", "up", "--listen", "127.0.0.1:0", "--agents", "127.0.0.1:0", "--data", data, "--json"],
            stdout=subprocess.PIPE, text=True))
        ready = json.loads(up.stdout.readline())
        reading, writing = os.pipe()
        stack.enter_context(running(["Xvfb", "-displayfd", str(writing), "-screen", "0", "1920x1080x24", "-noreset"], pass_fds=[writing], **quiet))
        os.close(writing)
        display = ":" + os.read(reading, 20).decode().strip()
        stack.enter_context(running([PLAYHEAD, "--log", "warn", "agent", "--data", f"{work}/agent", "--display", display, "--host", HOST, "--join", token(data, 1)]))
        load = None
        if a.sessions:
            seconds = 60 + a.changes * 2
            load = stack.enter_context(subprocess.Popen(
                [PLAYHEAD, "--log", "warn", "bench", "load", "--sessions", str(a.sessions), "--profile", "office", "--seconds", str(seconds),
                 "--join", token(data, a.sessions), "--json"], stdout=subprocess.PIPE, text=True))
            # Fifty sessions begin each second.
            time.sleep(a.sessions / 50 + 10)
        recording = watched(ready)
        with player(ready["url"], ready["user"], ready["password"], recording, live=True) as (browser, _):
            changes(browser, display, 5)
            delays = changes(browser, display, a.changes)
        average = os.getloadavg()[0]
        report = {"sessions": a.sessions, "changes": len(delays), "load": round(average, 1),
                  "ms": {"median": round(share(delays, .5)), "p95": round(share(delays, .95)), "most": round(max(delays))}}
        if load:
            out, _ = load.communicate()
            of_load = json.loads(out)
            report["lost"] = of_load["lost"]
            report["acknowledged_p99_ms"] = of_load["acknowledged_ms"]["p99"]
    print(json.dumps(report, indent=1))
    if a.json:
        Path(a.json).write_text(json.dumps(report | {"each": delays}))


def watched(ready):
    """The recording of the display."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def call(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with opener.open(urllib.request.Request(ready["url"] + path, data, {"content-type": "application/json"}), timeout=30) as answer:
            return json.load(answer) if answer.status == 200 else None

    call("/api/v1/sign-in", {"user": ready["user"], "password": ready["password"]})
    return wait_for("the display's recording", lambda: call(f"/api/v1/recordings?host={HOST}")["items"])[0]["id"]


if __name__ == "__main__":
    main()
