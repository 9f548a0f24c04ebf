#!/usr/bin/env python3
"""How long and how many bytes a seek to a random moment takes, in a real browser.

  seek.py URL USER PASSWORD RECORDING [--seeks 60] [--seed 1] [--json OUT]

Needs chromium and chromium-driver. Clicks on the player's seek bar, waits until the player says that the canvas shows the moment, and
reports what the player measured: milliseconds from the click to the painted picture, and bytes that came for it.
"""
import argparse, json, random, subprocess, sys, tempfile, time, urllib.request


class Driver:
    """The few WebDriver calls that are needed."""

    def __init__(self, port, profile):
        self.base = f"http://127.0.0.1:{port}"
        args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
                "--disable-component-update", "--no-first-run", "--window-size=1920,1200", f"--user-data-dir={profile}"]
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": args}}}}
        self.session = self.call("/session", wanted)["sessionId"]

    def call(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def go(self, url):
        self.call(f"/session/{self.session}/url", {"url": url})

    def run(self, script, *args):
        return self.call(f"/session/{self.session}/execute/sync", {"script": script, "args": list(args)})

    def until(self, what, script, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.02)
        raise SystemExit(f"waited {seconds} s in vain for {what}")

    def click(self, x, y):
        move = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        press = [move, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        actions = [{"type": "pointer", "id": "mouse", "actions": press}]
        self.call(f"/session/{self.session}/actions", {"actions": actions})

    def end(self):
        self.call(f"/session/{self.session}", method="DELETE")


SIGN_IN = """
const done = fetch('/api/v1/sign-in', { method: 'POST', headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ user: arguments[0], password: arguments[1] }) });
return done.then(answer => answer.status);"""


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["url", "user", "password", "recording"]:
        parser.add_argument(name)
    parser.add_argument("--seeks", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json")
    a = parser.parse_args()
    chance = random.Random(a.seed)
    with tempfile.TemporaryDirectory() as profile:
        port = 9_500 + chance.randrange(400)
        driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        browser = None
        try:
            for _ in range(100):
                try:
                    browser = Driver(port, profile)
                    break
                except OSError:
                    time.sleep(0.1)
            browser.go(a.url)
            if browser.run(SIGN_IN, a.user, a.password) != 200:
                sys.exit("the console refuses the sign-in")
            browser.go(f"{a.url}/recordings/{a.recording}?t=1")
            browser.until("the first picture", "return window.playhead && window.playhead.painted_us !== null")
            seeks = []
            for number in range(a.seeks):
                bar = browser.run("const r = document.querySelector('[data-testid=seek-bar]').getBoundingClientRect(); return [r.x, r.y, r.width, r.height]")
                before = browser.run("return window.playhead.seeks.length ? window.playhead.seeks.at(-1).at_us : -1")
                browser.click(bar[0] + chance.uniform(0.01, 0.99) * bar[2], bar[1] + bar[3] / 2)
                done = f"const s = window.playhead.seeks.at(-1); return s && s.at_us !== {before} && s.ms !== null && window.playhead.status === 'paused' ? s : null"
                seeks.append(browser.until(f"seek {number}", done))
        finally:
            # The driver does not end the browser when it is told to end itself.
            if browser:
                browser.end()
            driver.terminate()
            driver.wait()
    ms, sizes = [seek["ms"] for seek in seeks], [seek["bytes"] for seek in seeks]
    report = {"seeks": len(seeks), "ms": {"median": share(ms, .5), "p95": share(ms, .95), "most": max(ms)},
              "bytes": {"median": share(sizes, .5), "p95": share(sizes, .95), "most": max(sizes)}}
    print(json.dumps(report, indent=1))
    if a.json:
        with open(a.json, "w") as out:
            json.dump(report | {"each": seeks}, out)


if __name__ == "__main__":
    main()
