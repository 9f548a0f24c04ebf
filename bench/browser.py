"""A real browser with the player in it, for measurements. Needs chromium and chromium-driver."""
import contextlib, json, subprocess, sys, tempfile, time, urllib.request


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

    def press(self, key):
        actions = [{"type": "key", "id": "keys", "actions": [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]
        self.call(f"/session/{self.session}/actions", {"actions": actions})

    def end(self):
        self.call(f"/session/{self.session}", method="DELETE")


SIGN_IN = """
const done = fetch('/api/v1/sign-in', { method: 'POST', headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ user: arguments[0], password: arguments[1] }) });
return done.then(answer => answer.status);"""


@contextlib.contextmanager
def player(url, user, password, recording, live=False):
    """Signs in and opens a recording's player, paused at its first picture or following it live. Gives the browser and the folder of its
    profile."""
    with tempfile.TemporaryDirectory() as profile:
        # The driver says which free port it took.
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        browser = None
        try:
            port = next(int(line.rsplit(" ", 1)[1].strip(". \n")) for line in driver.stdout if "started successfully on port" in line)
            browser = Driver(port, profile)
            browser.go(url)
            if browser.run(SIGN_IN, user, password) != 200:
                sys.exit("the console refuses the sign-in")
            browser.go(f"{url}/recordings/{recording}" + ("" if live else "?t=0"))
            browser.until("the first picture", "return window.playhead && window.playhead.painted_us !== null")
            yield browser, profile
        finally:
            # The driver does not end the browser when it is told to end itself.
            if browser:
                browser.end()
            driver.terminate()
            driver.wait()
