"""Intended differences from the base revision; see `rules.Intended` for the fields.

An entry is as narrow as possible: the case, the output and, in JSON, the path. For example:

    Intended(
        reason="`agreement` was renamed, since it is measured against float32",
        file="*-export.stdout",
        json="/files/*/agreement",
        renamed="agreement_with_float",
    )

If a value must not change otherwise, at least one case must have no entry for the value.
"""

from __future__ import annotations

from tools.compare.rules import Intended

INTENDED: tuple[Intended, ...] = (
    # Results
    Intended(
        reason="A graph is evaluated on the sets that its record names, as the help says; it was always 10 %.",
        case="evaluate-graph",
    ),
    *(
        Intended(reason="The result of a training also holds this.", file=file, json=f"/{key}")
        for key in ("report", "duplicates", "steps")
        for file in ("*-train.stdout", "files/again.json", "files/out/result.json")
    ),
    *(
        Intended(reason="A grid keeps one result file per architecture.", case="grid*", file=f"*/{name}.json")
        for name in ("done", "judged", "result")
    ),
    Intended(
        reason="`benchmark --operators` was dropped: no runtime reports the times of operators.",
        case="benchmark-operators",
    ),
    # Texts
    *(
        Intended(reason="The folder of photos is an argument.", replaced=(f"poets-edge {old}", f"poets-edge {new}"))
        for old, new in (
            ("audit --image_dir ", "audit "),
            ("train --image_dir FOLDER", "train flower_photos"),
            ("train --image_dir ", "train "),
        )
    ),
    *(
        Intended(reason="The text uses standard terms.", file=f"*-{command}.stdout", replaced=(old, new))
        for command, old, new in (
            (
                "evaluate",
                "photos of the other sets left out; --set all takes them too",
                "photos of other splits skipped; --split all includes them",
            ),
            ("evaluate", " beside ", " compared with "),
            ("export", " beside ", " compared with "),
            ("export", "Judged on", "Evaluated on"),
            ("export", "poets-edge grid FOLDER", "poets-edge grid flower_photos"),
            ("runs", "the run before", "the previous run"),
            ("quickstart", "Judged on", "Evaluated on"),
            ("quickstart", "They are a toy; your results will differ.", "Real photos give other results."),
            ("quickstart", "fetched once", "downloaded once"),
        )
    ),
    Intended(reason="The page uses standard terms.", file="*/audit.html", figures=True),
    Intended(reason="The page uses standard terms.", file="files/p*.html", figures=True),
    Intended(reason="The page uses standard terms.", file="files/*graph*.html", figures=True),
    Intended(reason="The page uses standard terms.", file="files/s/*.html", figures=True),
    Intended(reason='The chart says "5-fold cross-validation".', case="grid*", file="*/chart.*"),
    Intended(
        reason="The page uses standard terms and holds the chart.", case="grid*", file="*/report.html", figures=True
    ),
    Intended(reason="The table uses standard terms.", case="grid", file="*-grid.stdout", figures=True),
    Intended(reason="The tables use standard terms.", case="audit*", file="*-audit.stdout", figures=True),
)
