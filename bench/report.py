"""From rounds to a verdict: medians, spreads, ratios against bars; as a table, as JSON, as a chart."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import median

import msgspec
from rich.table import Table

from bench.machine import Machine


class Figure(msgspec.Struct, frozen=True):
    """One measurement of all rounds. `values` are in the order of the rounds."""

    name: str
    title: str
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        """The value to quote."""
        return median(self.values)

    @property
    def spread(self) -> str:
        """From the least to the largest."""
        return f"{_short(min(self.values))}..{_short(max(self.values))}"


class Bar(msgspec.Struct, frozen=True):
    """What a ratio of two figures, taken within each round, must be: at least, or at most, `limit`."""

    title: str
    ours: str
    theirs: str
    limit: float
    at_least: bool = True


class Verdict(msgspec.Struct, frozen=True):
    """A bar with what was measured."""

    bar: Bar
    ratio: float
    reached: bool


class Report(msgspec.Struct, frozen=True):
    """All of one run."""

    machine: Machine
    figures: list[Figure]
    verdicts: list[Verdict]
    notes: dict[str, str]


BARS = (
    Bar("without HTTP ≥ 40 % of the COPY ceiling", "engine", "copy_ceiling", 0.40),
    Bar("over HTTP ≥ 10 × a plain service", "osmp", "row_by_row", 10.0),
    Bar("over HTTP ≥ 30 % of constant HTTP", "osmp", "constant_http", 0.30),
    Bar("unloaded p50 ≤ 6 × one INSERT", "osmp_alone_p50", "single_insert_p50", 6.0, at_least=False),
    Bar("with a million accounts ≥ 90 % of ten thousand", "engine_large", "engine", 0.90),
)


def judge(figures: Mapping[str, Figure]) -> list[Verdict]:
    """Compare what was measured with the bars; a bar whose figures were not measured is left out."""
    verdicts = []
    for bar in BARS:
        if bar.ours in figures and bar.theirs in figures:
            pairs = zip(figures[bar.ours].values, figures[bar.theirs].values, strict=False)
            ratio = median([ours / theirs for ours, theirs in pairs])
            verdicts.append(Verdict(bar, ratio, ratio >= bar.limit if bar.at_least else ratio <= bar.limit))
    return verdicts


def tables(report: Report) -> list[Table]:
    """The report for a terminal."""
    measured = Table("measurement", "median", "spread", "unit", title="Measured", title_justify="left")
    for figure in report.figures:
        measured.add_row(figure.title, _short(figure.median), figure.spread, figure.unit)
    judged = Table("bar", "measured", "", title="Against the yardsticks", title_justify="left")
    for verdict in report.verdicts:
        judged.add_row(
            verdict.bar.title, f"{verdict.ratio:.2f}", "[green]reached[/]" if verdict.reached else "[red]missed[/]"
        )
    return [measured, judged]


def write(report: Report, folder: Path) -> None:
    """Write `bench.json` and `bench.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    (folder / "bench.svg").write_text(chart([f for f in report.figures if f.unit.endswith("/s")]))


_ROW, _LEFT, _WIDTH = 34, 300, 900


def chart(figures: Sequence[Figure]) -> str:
    """Throughputs as horizontal bars with whiskers from the least to the largest round."""
    longest = max(max(figure.values) for figure in figures)
    scale = (_WIDTH - _LEFT - 110) / longest
    rows = [_row(figure, 20 + _ROW * index, scale) for index, figure in enumerate(figures)]
    height = 30 + _ROW * len(figures)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="14"><rect width="100%" height="100%" fill="#fff"/>{"".join(rows)}</svg>\n'
    )


def _row(figure: Figure, top: int, scale: float) -> str:
    width, low, high = (scale * value for value in (figure.median, min(figure.values), max(figure.values)))
    middle, color = top + 9, "#2563eb" if figure.name.startswith(("engine", "osmp")) else "#94a3b8"
    return (
        f'<text x="{_LEFT - 10}" y="{top + 14}" text-anchor="end" fill="#0f172a">{escape(figure.title)}</text>'
        f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="18" rx="3" fill="{color}"/>'
        f'<path d="M{_LEFT + low:.1f} {middle}H{_LEFT + high:.1f}" stroke="#0f172a" stroke-width="1.5"/>'
        f'<text x="{_LEFT + high + 8:.1f}" y="{top + 14}" fill="#0f172a">{_short(figure.median)} {figure.unit}</text>'
    )


def _short(value: float) -> str:
    """Three digits at least, for milliseconds too."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}".replace(",", "\u202f")
