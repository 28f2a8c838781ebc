"""Metrics of many processes as one page: each process tells its samples, whoever is asked adds them up.

A sample is a plain record, so it travels between processes as bytes. Counters and histograms of the same name and
labels are summed; gauges too (queue depths of all shards make the depth of the system), except that every shard also
has its own label.
"""

from collections.abc import Iterable, Sequence

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from actors.shard import Shard
from actors.shard_metrics import Histogram

_encoder = msgspec.msgpack.Encoder()


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One number. `family` is the metric's name, `name` the sample's (a histogram's family has several)."""

    family: str
    kind: str
    help: str
    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


_decoder = msgspec.msgpack.Decoder(list[Sample])


def encode(samples: Iterable[Sample]) -> bytes:
    """Pack a process's samples."""
    return _encoder.encode(list(samples))


def decode(packed: bytes) -> list[Sample]:
    """Unpack a process's samples."""
    return _decoder.decode(packed)


def of_registry(registry: CollectorRegistry) -> list[Sample]:
    """Take the samples of a process that counts with the Prometheus client."""
    return [
        Sample(metric.name, metric.type, metric.documentation, s.name, tuple(sorted(s.labels.items())), s.value)
        for metric in registry.collect()
        for s in metric.samples
        if not s.name.endswith("_created")
    ]


def of_shard(shard: Shard) -> list[Sample]:
    """Take the samples of a shard."""
    label = (("shard", str(shard.term.shard)),)
    m = shard.metrics
    counters = {
        "kopeck_shard_entries_committed": ("Commands made durable", m.entries_committed),
        "kopeck_shard_batches_committed": ("Journal transactions", m.batches_committed),
        "kopeck_shard_replays": ("Repeats answered with the first receipt or a conflict", m.replayed),
        "kopeck_shard_busy": ("Commands refused because the inbox was full or draining", m.busy),
        "kopeck_shard_hydrations": ("Cold accounts read from the journal", m.hydrated),
        "kopeck_shard_evictions": ("Accounts dropped from memory", m.evicted),
        "kopeck_shard_snapshots": ("Account snapshots written", m.snapshots),
        "kopeck_shard_keys_taken": ("Keys refused because another shard had committed them", m.keys_taken),
    }
    samples = [Sample(n, "counter", text, n + "_total", label, value) for n, (text, value) in counters.items()]
    samples += [
        Sample("kopeck_shard_rejections", "counter", "Commands refused, by reason", "kopeck_shard_rejections_total",
               (("reason", reason.name.lower()), *label), count)
        for reason, count in m.rejected.items()
    ]  # fmt: skip
    samples += [
        Sample(f"kopeck_shard_{name}", "gauge", "Depth or size now", f"kopeck_shard_{name}", label, value)
        for name, value in (shard.gauges() | {"parked_accounts": m.parked, "epoch": shard.term.epoch}).items()
    ]
    samples += _histogram("kopeck_shard_commit_seconds", "Time of a journal transaction", m.commit_seconds, label)
    return samples + _histogram("kopeck_shard_batch_entries", "Commands a transaction", m.batch_entries, label)


def _histogram(family: str, text: str, values: Histogram, label: tuple[tuple[str, str], ...]) -> list[Sample]:
    samples, below = [], 0
    for bound, count in zip((*map(str, values.bounds), "+Inf"), values.counts, strict=True):
        below += count
        samples.append(Sample(family, "histogram", text, family + "_bucket", (("le", bound), *label), below))
    samples.append(Sample(family, "histogram", text, family + "_sum", label, values.total))
    return [*samples, Sample(family, "histogram", text, family + "_count", label, below)]


class _Sum(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._families: dict[str, Metric] = {}
        self._values: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
        for sample in samples:
            self._families.setdefault(sample.family, Metric(sample.family, sample.help, sample.kind))
            key = (sample.family, sample.name, sample.labels)
            self._values[key] = self._values.get(key, 0) + sample.value

    def collect(self) -> Iterable[Metric]:
        for (family, name, labels), value in self._values.items():
            self._families[family].add_sample(name, dict(labels), value)
        return self._families.values()


def page(processes: Sequence[Sequence[Sample]]) -> bytes:
    """Render the sum of all processes' samples in the Prometheus text format."""
    registry = CollectorRegistry()
    registry.register(_Sum(sample for samples in processes for sample in samples))
    return generate_latest(registry)
