"""A drawing as SVG text, in colours that light and dark pages both bear."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

FONT = "system-ui, -apple-system, Segoe UI, Roboto, sans-serif"
LIGHT = ("#0b62c4", "#c2410c", "#15803d", "#7c3aed", "#be123c", "#0e7490", "#a16207", "#4b5563", "#9d174d")
DARK = ("#60a5fa", "#fb923c", "#4ade80", "#c4b5fd", "#fb7185", "#67e8f9", "#fde047", "#cbd5e1", "#f9a8d4")


def _style() -> str:
    def rules(ground: str, ink: str, line: str, colours: Sequence[str]) -> str:
        named = [f".ground{{fill:{ground}}}.ink{{fill:{ink}}}.axis{{stroke:{line}}}.goal{{stroke:{ink}}}"]
        named += [f".f{at}{{fill:{one}}}.s{at}{{stroke:{one}}}" for at, one in enumerate(colours)]
        return "".join(named)

    plain = (
        f"text{{font:12px {FONT}}}.title{{font-size:15px;font-weight:600}}.small{{font-size:11px}}"
        ".axis{stroke-width:1}.goal{stroke-width:1.5;stroke-dasharray:5 3}.line{fill:none;stroke-width:2}"
    )
    dark = rules("#0d1117", "#e6edf3", "#3d444d", DARK)
    return (
        f"{plain}{rules('#ffffff', '#1f2328', '#d1d9e0', LIGHT)}@media(prefers-color-scheme:dark){{{dark}}}"
    )


class Drawing:
    """Lines, bars and words on a ground; y grows downwards."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._width, self._height, self._title = width, height, title
        self._parts: list[str] = []
        self.text(16, 26, title, "title ink")

    def text(self, x: float, y: float, words: str, kind: str = "ink", anchor: str = "start") -> None:
        """Words that begin, are centred ("middle") or end at x."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def upright(self, x: float, y: float, words: str) -> None:
        """Along a vertical axis, centred at y."""
        self._parts.append(
            f'<text transform="translate({x:.1f},{y:.1f}) rotate(-90)" class="ink"'
            f' text-anchor="middle">{escape(words)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> None:
        """Straight."""
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def path(self, points: Sequence[tuple[float, float]], colour: int) -> None:
        """From point to point, with a dot at each."""
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{drawn}" class="line s{colour}"/>')
        self._parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="f{colour}"/>' for x, y in points]

    def bar(self, x: float, y: float, width: float, height: float, colour: int) -> None:
        """Filled."""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}"'
            f' rx="2" class="f{colour}"/>'
        )

    def __str__(self) -> str:
        size = f'viewBox="0 0 {self._width} {self._height}" width="{self._width}" height="{self._height}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
                f"<title>{escape(self._title)}</title>",
                f"<style>{_style()}</style>",
                f'<rect width="{self._width}" height="{self._height}" class="ground"/>',
                *self._parts,
                "</svg>\n",
            ]
        )
