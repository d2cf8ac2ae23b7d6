"""``fleet init``: the stream that keeps what agents publish, made or changed."""

import re
from dataclasses import replace
from typing import Any, Final

from nats.js import api
from nats.js import errors as js_errors

from portside.app.cell_text import seconds_text, size_text
from portside.app.stdout import write_lines
from portside.errors import PortsideError
from portside.fleet.broker import BrokerConnection
from portside.fleet.query.run import run
from portside.fleet.subjects import ALL, STREAM
from portside.settings.fleet import FleetInit

MAX_BYTES: Final = 10 << 30
MAX_AGE_S: Final = 72 * 3600.0
REPLICAS: Final = 1
DUPLICATES_S: Final = 300.0
"""How long a message that comes again is known by its number."""

_NO_CLUSTER, _NO_PEERS, _NO_ROOM, _OVERLAP = 10074, 10005, 10047, 10065
_HINTS = {
    _NO_CLUSTER: "replicas need a cluster of as many servers",
    _NO_PEERS: "the cluster has too few servers with JetStream and room for it",
    _NO_ROOM: "--max-bytes SIZE asks for less",
    _OVERLAP: f"another stream has subjects of {ALL}: nats stream ls shows them",
}


def run_init(settings: FleetInit) -> int:
    """Make the stream, or change it; the exit status."""

    async def work(broker: BrokerConnection) -> None:
        try:
            said = await make(broker, settings)
        except js_errors.APIError as error:
            if isinstance(error, js_errors.ServiceUnavailableError) and error.err_code is None:
                raise
            raise PortsideError(f"the stream {STREAM}", str(error.description), _hint(error)) from error
        write_lines(said)

    return run(settings, work, name="fleet init")


def _hint(error: js_errors.APIError) -> str | None:
    words = str(error.description)
    by_words = {"replicas": _NO_CLUSTER, "peers": _NO_PEERS, "storage": _NO_ROOM, "overlap": _OVERLAP}
    code = next((code for word, code in by_words.items() if word in words), None)
    return _HINTS.get(error.err_code or 0) or _HINTS.get(code or 0)


async def make(broker: BrokerConnection, settings: FleetInit) -> list[str]:
    """Make the stream or change what is asked for; what was done, in lines."""
    jetstream = broker.jetstream
    try:
        known = (await broker.allowed(jetstream.stream_info(STREAM))).config
    except js_errors.NotFoundError:
        wanted = _wanted(settings, None)
        await broker.allowed(jetstream.add_stream(wanted))
        return [f"made the stream {STREAM}: {', '.join(f'{name} {text}' for name, text in _facts(wanted).items())}"]
    wanted = _wanted(settings, known)
    before, after = _facts(known), _facts(wanted)
    changed = [f"{name} {before[name]} -> {text}" for name, text in after.items() if text != before[name]]
    if not changed:
        facts = ", ".join(f"{name} {text}" for name, text in after.items())
        return [f"the stream {STREAM} is as it should be: {facts}"]
    await broker.allowed(jetstream.update_stream(wanted))
    return [f"changed the stream {STREAM}: {', '.join(changed)}"]


def _wanted(settings: FleetInit, known: api.StreamConfig | None) -> api.StreamConfig:
    """The configuration that is asked for; what is not, is as it is."""
    base = api.StreamConfig(name=STREAM, description="what the agents of Portside publish") if known is None else known
    age_s = _first(settings.max_age, None if known is None else known.max_age, MAX_AGE_S)
    fields: dict[str, Any] = {
        "subjects": [ALL],
        "retention": api.RetentionPolicy.LIMITS,
        "discard": api.DiscardPolicy.OLD,
        "max_bytes": int(_first(settings.max_bytes, None if known is None else known.max_bytes, MAX_BYTES)),
        "max_age": age_s,
        "num_replicas": int(_first(settings.replicas, None if known is None else known.num_replicas, REPLICAS)),
        "duplicate_window": min(DUPLICATES_S, age_s) if age_s else DUPLICATES_S,
        "allow_direct": True,
        "compression": api.StoreCompression.S2,
    }
    if known is None:
        fields["storage"] = api.StorageType.FILE
    elif known.sources or known.mirror:  # it has what other streams have: with subjects it would have all twice
        del fields["subjects"], fields["duplicate_window"]
    return replace(base, **fields)


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _facts(config: api.StreamConfig) -> dict[str, str]:
    """The limits of a stream in words, by their names."""
    return {
        "subjects": " ".join(config.subjects or []),
        "storage": _value(config.storage),
        "at most": size_text(config.max_bytes) if config.max_bytes is not None and config.max_bytes > 0 else "any size",
        "for": _span(config.max_age) if config.max_age else "ever",
        "replicas": str(config.num_replicas),
        "when full": "the oldest go first" if _value(config.discard) == "old" else "what is new is refused",
        "duplicates known for": _span(config.duplicate_window or 0.0),
        "compression": _value(config.compression) or "none",
    }


def _value(word: object) -> str:
    """A word of a configuration, which nats-py has as a member of an enumeration or as text."""
    return str(getattr(word, "value", word) or "")


def _span(seconds: float | None) -> str:
    """A time in the unit that suits, without zeros behind it: ``3d``, ``5m``, ``1h30``."""
    text = seconds_text(seconds or 0)
    return re.sub(r"(?<=[dhm])00h?$", "", text)
