"""Present results as tables: rows for pandas, and HTML for notebooks."""

from __future__ import annotations

from typing import Any


class Tabular:
    """Mixin that displays a result as a table in notebooks; the result class defines the rows."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat dictionary per row, all with the same keys, for `pandas.DataFrame(result.rows())`."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """Return the HTML representation for notebooks: `repr(self)` followed by the rows as a table."""
        import html

        rows = self.rows()
        heading = f"<p>{html.escape(repr(self))}</p>"
        if not rows:
            return heading
        names = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
        cells = ("".join(f"<td>{html.escape(_text(value))}</td>" for value in row.values()) for row in rows)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"{heading}<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
