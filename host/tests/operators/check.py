#!/usr/bin/env python3
"""What operators' tools say of a server that runs.

    check.py HOST metrics promtool    every metric: promtool's lint, the table of
                                      docs/operations.md (UPDATE_EXPECT=1 writes it)
    check.py HOST api schemathesis    what answers, held to the API's document

Starts HOST with a configuration, a state and a token of its own in a temporary folder,
and ends it in order. `make check-alerts` and `make test-api` call it.
"""

import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/operations.md"
BEGIN, END = "<!-- metrics -->\n", "<!-- end of metrics -->"
START = 60
# For a run of schemathesis, which takes half a minute.
LIMIT = 300

CONFIG = """(
    state: "state",
    applications: {{"live": (
        plugin: "{plugin}",
        config: {{"publish": "open", "play": "open"}},
        relay: (allow: ["rtmp://127.0.0.1/*"], private: true),
    )}},
    acceptors: [
        (listen: "127.0.0.1:0", applications: ["live"]),
        (listen: "127.0.0.1:0", chain: [Tcp, Http], serve: [Api, Metrics]),
    ],
    api: (
        socket: "control.sock",
        tokens: {{"check": (sha256: "{sha256}", scopes: [Read, Media, Admin])}},
    ),
    // So that the series of streams are there, too.
    metrics: (streams: 10),
    decisions: (ring: 100),
    log: (level: "warn"),
)
"""


class Server:
    """A server: where it listens, and a token that may do everything."""

    def __init__(self, folder, token, addresses):
        self.folder = folder
        self.token = token
        self.http = addresses["http"]
        self.rtmp = addresses["rtmp"]

    def get(self, path, **headers):
        request = urllib.request.Request(self.http + path, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()


@contextmanager
def serving(host, folder):
    token = secrets.token_urlsafe(32)
    sha256 = hashlib.sha256(token.encode()).hexdigest()
    plugin = ROOT / "target/plugins/static-keys.wasm"
    config = folder / "config.ron"
    config.write_text(CONFIG.format(plugin=plugin, sha256=sha256))
    log = open(folder / "log.txt", "w+")
    process = subprocess.Popen(
        [host, "run", config], stdout=subprocess.PIPE, stderr=log, text=True
    )
    try:
        yield Server(folder, token, addresses(process, log))
        if process.poll() is not None:
            fail(f"the server ended by itself, status {process.returncode}", log)
        process.terminate()
        # Printed lines that nobody reads must not hold the end up.
        process.stdout.read()
        if process.wait(START) != 0:
            fail(f"expected status 0 at the end, found {process.returncode}", log)
        log.seek(0)
        if "panicked" in log.read():
            fail("the server panicked", log)
    finally:
        process.kill()
        process.wait()
        log.close()


def addresses(process, log):
    """What the lines for the terminal say: scheme to URL; both have been printed
    when the lines to paste follow."""
    begin, found = time.monotonic(), {}
    while len(found) < 2:
        line = process.stdout.readline()
        if not line or time.monotonic() - begin > START:
            fail("the server did not start", log)
        if where := re.match(r"\s+listening\s+(\w+)(://\S+)", line):
            found[where[1]] = where[1] + where[2]
    while True:
        try:
            with urllib.request.urlopen(found["http"] + "/health/ready", timeout=5):
                return found
        except OSError:
            if time.monotonic() - begin > START or process.poll() is not None:
                fail("the server is not ready", log)
            time.sleep(0.1)


def fail(why, log=None):
    if log:
        log.seek(0)
        sys.stderr.write(log.read()[-4000:])
    sys.exit(f"error: {why}")


def metrics(server, promtool):
    text = server.get("/metrics")
    linted = subprocess.run(promtool + ["check", "metrics"], input=text, text=True)
    if linted.returncode != 0:
        fail("promtool finds fault with the metrics")
    opened = server.get("/metrics", Accept="application/openmetrics-text")
    if not opened.endswith("# EOF\n"):
        fail("expected OpenMetrics to end with # EOF")
    made = table(text)
    before, rest = PAGE.read_text().split(BEGIN, 1)
    there, after = rest.split(END, 1)
    if there == made:
        print(f"{made.count(chr(10)) - 2} families, as docs/operations.md has them")
    elif "UPDATE_EXPECT" in os.environ:
        PAGE.write_text(before + BEGIN + made + END + after)
        print("written: the table of docs/operations.md")
    else:
        changed = set(made.splitlines()) ^ set(there.splitlines())
        print("\n".join(sorted(changed)))
        fail("docs/operations.md has other metrics; UPDATE_EXPECT=1 writes them anew")


def table(text):
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
    rows = ["| metric | type | labels | value |", "|---|---|---|---|"]
    for name, kind in sorted(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)):
        series = re.findall(rf"^{name}(?:_bucket)?\{{(.*)\}} ", text, re.M)
        names = [re.findall(r'(\w+)="', labels) for labels in series]
        labels = ", ".join(f"`{label}`" for label in (names[0] if names else LABELS.get(name, [])) if label != "le")
        rows.append(f"| `{name}` | {kind} | {labels} | {helps.get(name, '')} |")
    return "\n".join(rows) + "\n"


# Of families that have no series while nothing happens.
LABELS = {
    "livehost_relays": ["app", "direction", "attempting"],
    "livehost_sessions_ended_total": ["reason"],
}


def api(server, schemathesis):
    with publishing(server, "kept"), publishing(server, "ended"):
        write_settings(server)
        checked = subprocess.run(
            schemathesis
            + [
                "run",
                f"{server.http}/api/v1/openapi.json",
                "--header", f"Authorization: Bearer {server.token}",
                # It ends the server: tests end to end have it.
                "--exclude-operation-id", "drain",
                # It does not end.
                "--exclude-operation-id", "follow_decisions",
                "--generation-deterministic",
                "--max-examples", "20",
                "--continue-on-failure",
                "--request-timeout", "30",
                "--no-color",
            ],
            cwd=server.folder,
            timeout=LIMIT,
        )
    if checked.returncode != 0:
        fail("schemathesis has findings")


def write_settings(server):
    """Tells schemathesis what there is: what only names that exist can show."""
    (kept, ended), (client, kicked) = ids(server, "streams"), ids(server, "clients")
    known = {
        ("get_application", "reload_plugin", "roll_plugin_back"): ("name", "live"),
        ("get_stream", "start_forward", "stop_forward"): ("id", kept),
        ("stop_stream",): ("id", ended),
        ("get_client",): ("id", client),
        ("kick_client",): ("id", kicked),
    }
    settings = [
        f"[[operations]]\ninclude-operation-id = {json.dumps(operations)}\n"
        f'parameters = {{ "path.{name}" = "{value}" }}\n'
        for operations, (name, value) in known.items()
    ]
    # Which filters there are, no schema says.
    settings.append(
        '[[operations]]\ninclude-operation-id = "set_log_level"\n'
        'checks.positive_data_acceptance.expected-statuses = ["2xx", "400"]\n'
    )
    (server.folder / "schemathesis.toml").write_text("".join(settings))


def ids(server, things):
    """Numbers of what there is, in the order in which it came."""
    token = f"Bearer {server.token}"
    seen = json.loads(server.get(f"/api/v1/{things}", Authorization=token))
    return sorted((one["id"] for one in seen["items"]), key=int)


@contextmanager
def publishing(server, name):
    """A stream that is published, so that lists have something in them."""
    source = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5"]
    target = ["-c:v", "libx264", "-g", "5", "-f", "flv", f"{server.rtmp}/live/{name}"]
    quiet = ["-nostdin", "-loglevel", "quiet"]
    before = ids(server, "streams")
    ffmpeg = subprocess.Popen(["ffmpeg", *quiet, *source, *target])
    try:
        begin = time.monotonic()
        while ids(server, "streams") == before:
            if time.monotonic() - begin > START or ffmpeg.poll() is not None:
                fail("ffmpeg does not publish")
            time.sleep(0.1)
        yield
    finally:
        ffmpeg.kill()
        ffmpeg.wait()


def main():
    if len(sys.argv) < 4 or sys.argv[2] not in CHECKS:
        sys.exit(__doc__)
    host, what, tool = sys.argv[1], sys.argv[2], sys.argv[3:]
    with tempfile.TemporaryDirectory(prefix="livehost-") as folder:
        with serving(Path(host).resolve(), Path(folder)) as server:
            CHECKS[what](server, tool)


CHECKS = {"metrics": metrics, "api": api}

if __name__ == "__main__":
    main()
