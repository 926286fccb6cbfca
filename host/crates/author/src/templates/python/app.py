"""The policy {{name}}: streams whose name begins as configured may publish."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import kv
from wit_world.imports.types import (
    ConnectDecision_Accept,
    ConnectGrant,
    DuplicateRule,
    PlayDecision_Accept,
    PlayGrant,
    PublishDecision_Accept,
    PublishDecision_Reject,
    PublishGrant,
    Rejection,
)


class Config:
    """What `configure` got. A field it does not know is an error."""

    def __init__(self, *, prefix: str = "studio-"):
        if not isinstance(prefix, str):
            raise ValueError("prefix: expected a text")
        self.prefix = prefix


config: Config


class Lifecycle(exports.Lifecycle):
    def configure(self, text):
        global config
        try:
            config = Config(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise Err(f"config: {error}") from error

    def on_start(self, reason, from_old):
        pass

    def snapshot(self):
        return None

    def on_stop(self, reason):
        pass

    def on_timer(self, key):
        pass


class Policy(exports.Policy):
    def on_connect(self, req):
        return ConnectDecision_Accept(ConnectGrant([], None, None, None, []))

    def on_publish(self, req):
        if not req.name.startswith(config.prefix):
            return PublishDecision_Reject(
                Rejection("", f"only {config.prefix}* may publish", None))
        # State belongs to the host: this instance may be gone tomorrow.
        kv.incr(f"publishes/{req.name}", 1, None)
        return PublishDecision_Accept(PublishGrant(
            name=None, on_duplicate=DuplicateRule.REJECT, record_to=None, forward_to=[],
            max_kbps=None, idle_timeout_ms=None, hold_ms=None, extra=[]))

    def on_play(self, req):
        return PlayDecision_Accept(PlayGrant(None, None, None, None, []))
