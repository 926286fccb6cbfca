"""The policy `keyed` in Python; ../README.md says what it does."""

import json
import struct
from hmac import compare_digest

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import http_client, kv, log
from wit_world.imports.types import (
    ConnectDecision_Accept,
    ConnectDecision_Redirect,
    ConnectDecision_Reject,
    ConnectGrant,
    DuplicateRule,
    PlayDecision_Accept,
    PlayGrant,
    PublishDecision_Accept,
    PublishDecision_Reject,
    PublishGrant,
    Rejection,
)

# When a client may try again after the back end failed.
RETRY_MS = 5000

DUPLICATE = {rule.name.lower(): rule for rule in DuplicateRule}


class Config:
    """What `configure` got. A field it does not know is an error."""

    def __init__(self, *, keys, apps=None, moved=None, rename="{name}", on_duplicate="reject", hook=None):
        check("keys: expected an object of lists of texts",
              isinstance(keys, dict) and all(map(is_texts, keys.values())))
        check("apps: expected a list of texts", apps is None or is_texts(apps))
        moved = {} if moved is None else moved
        check("moved: expected an object of texts",
              isinstance(moved, dict) and is_texts(list(moved.values())))
        check("rename: expected a text with {name} in it",
              isinstance(rename, str) and "{name}" in rename)
        check(f"on_duplicate: expected one of {', '.join(DUPLICATE)}",
              isinstance(on_duplicate, str) and on_duplicate in DUPLICATE)
        check("hook: expected a text", hook is None or isinstance(hook, str))
        self.keys, self.apps, self.moved, self.hook = keys, apps, moved, hook
        self.rename, self.on_duplicate = rename, DUPLICATE[on_duplicate]


def check(expected: str, is_so: bool) -> None:
    if not is_so:
        raise ValueError(expected)


def is_texts(value) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


config: Config


class Lifecycle(exports.Lifecycle):
    def configure(self, text):
        global config
        try:
            given = json.loads(text)
            check("expected an object", isinstance(given, dict))
            config = Config(**given)
        except (ValueError, TypeError) as error:
            raise Err(str(error)) from error

    def on_start(self, reason, from_old):
        pass

    def snapshot(self):
        return None

    def on_stop(self, reason):
        pass

    def on_timer(self, key):
        pass


class Refused(Exception):
    """Ends a decision with a rejection."""

    def __init__(self, description, code="NetStream.Publish.Denied", retry_after_ms=None):
        self.rejection = Rejection(code, description, retry_after_ms)


class Policy(exports.Policy):
    def on_connect(self, req):
        if req.app in config.moved:
            return ConnectDecision_Redirect(config.moved[req.app])
        if config.apps is not None and req.app not in config.apps:
            return ConnectDecision_Reject(
                Rejection("", f'there is no application "{req.app}"', None))
        return ConnectDecision_Accept(ConnectGrant([], None, None, None, []))

    def on_publish(self, req):
        try:
            name = allow(req)
        except Refused as refused:
            return PublishDecision_Reject(refused.rejection)
        return PublishDecision_Accept(PublishGrant(
            name=name, on_duplicate=config.on_duplicate, record_to=None, forward_to=[],
            max_kbps=None, idle_timeout_ms=None, hold_ms=None, extra=[]))

    def on_play(self, req):
        return PlayDecision_Accept(PlayGrant(granted(req.name), None, None, None, []))


class Calls(exports.Calls):
    def on_call(self, who, method, amf0):
        if method != "count":
            raise Err("unknown")
        name = amf0_text(amf0)
        if name is None:
            raise Err("count: expected the name of a stream")
        try:
            entry = kv.get(counter(granted(name)))
        except Err as error:
            raise Err("count: no store") from error
        return amf0_number(number(entry.value) if entry else 0)


def allow(req) -> str:
    """The name that is granted, unless the publish is refused."""
    shown = next((value for key, value in req.query if key == "key"), "")
    if not shown:
        raise Refused("a publish key is required: NAME?key=KEY")
    if not opens(req.name, shown):
        raise Refused("the publish key is wrong")
    name = granted(req.name)
    if config.hook is not None:
        ask(config.hook, req, name)
    try:
        kv.incr(counter(name), 1, None)
    except Err as error:
        log.write(log.Level.WARN, f"a publish was not counted: {error.value}", [])
    return name


def keys_of(name: str) -> list[str]:
    """The stream's own keys, else those of the longest prefix."""
    if name in config.keys:
        return config.keys[name]
    prefixes = [pattern for pattern in config.keys
                if pattern.endswith("*") and name.startswith(pattern[:-1])]
    return config.keys[max(prefixes, key=len)] if prefixes else []


def opens(name: str, shown: str) -> bool:
    """Compares every key, so time does not tell which one was close."""
    return any([compare_digest(key.encode(), shown.encode()) for key in keys_of(name)])


def granted(name: str) -> str:
    return config.rename.replace("{name}", name, 1)


def counter(name: str) -> str:
    return f"publishes/{name}"


def number(text: bytes) -> int:
    """What is no number counts as 0."""
    try:
        return int(text)
    except ValueError:
        return 0


def ask(url: str, req, stream: str) -> None:
    """Asks the back end: 2xx accepts."""
    body = {"hook": "publish", "app": req.app, "name": req.name, "stream": stream,
            "remote": req.client.remote}
    try:
        response = http_client.send(http_client.Request(
            method="POST", url=url, headers=[("content-type", "application/json")],
            body=json.dumps(body).encode(), timeout_ms=0, follow_redirects=0))
    except Err as error:
        log.write(log.Level.WARN, f"the back end failed: {error.value}", [])
        raise Refused("the back end does not answer", retry_after_ms=RETRY_MS) from error
    if not 200 <= response.status < 300:
        raise Refused(f"refused by the back end: status {response.status}")


def amf0_text(data: bytes) -> str | None:
    """A string as AMF0 has it: marker 2, length in two bytes, UTF-8."""
    if len(data) < 3 or data[0] != 2:
        return None
    (length,) = struct.unpack_from(">H", data, 1)
    text = data[3:3 + length]
    return text.decode() if len(text) == length else None


def amf0_number(number: float) -> bytes:
    """A number as AMF0 has it: marker 0, eight bytes, the highest first."""
    return struct.pack(">Bd", 0, number)
