"""Labels of a model, which come from its metadata, a labels file or the user, and can be renamed."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from poets_edge.core.files import read_bytes
from poets_edge.errors import ModelError, WrongTypeError
from poets_edge.tflite.labels import decode_labels, parse_labels, split_labels
from poets_edge.tflite.verify.answers import other_answer

_LARGEST_LABELS = 16 << 20


def renamed_labels(own: tuple[str, ...], given: tuple[str, ...], *, source: str, model: Path) -> tuple[str, ...]:
    """Return the labels to use for a model, in the order of its outputs, after applying the user's translations.

    If a model contains labels, only these labels and translations of them are accepted, because replacement labels in
    the wrong order would go unnoticed.

    Args:
        own: labels inside the model; () if it has none, in which case any labels are accepted.
        given: labels from the user, or translations, as `old=new`. Labels without a translation keep their names.
        source: where `given` comes from, for messages.
        model: path of the model, for messages.

    Raises:
        ModelError: `given` has labels that the model lacks, renames a label twice or to nothing, or gives two labels
            the same name.
    """
    if not own or given in ((), own):
        return given
    olds = [_old_name(line, own) for line in given]
    if not all(olds):
        what = "the labels in another order" if sorted(given) == sorted(own) else "other labels"
        raise ModelError(
            f"{source}: {what} than {model} carries ({_listed(own)}). Leave the file out; to rename labels, give a line"
            " for each: old=new."
        )
    new = {str(old): line[len(str(old)) + 1 :] for old, line in zip(olds, given, strict=True)}
    names = tuple(new.get(label, label) for label in own)
    twice = next((label for label in olds if olds.count(label) > 1), None)
    if twice is not None:
        raise ModelError(f"{source}: two new names for {twice!r}.")
    nameless = next((old for old, name in new.items() if not name.strip()), None)
    if nameless is not None:
        raise ModelError(f"{source}: no new name for {nameless!r}. Write {nameless}=NAME.")
    same = next((name for name in names if names.count(name) > 1), None)
    if same is not None:
        raise ModelError(f"{source}: {same!r} would be the name of two labels of {model}.")
    return names


def renaming(own: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the labels to pass to `renamed_labels` so that it returns `names`; None if no label has to be renamed.

    The result consists of translations, as `old=new`, or of the names themselves if the model has no labels.

    Args:
        own: labels inside the model; () if it has none.
        names: labels to use, one for each label in the model; () to use the labels in the model.
    """
    if names == own or not names:
        return None
    return tuple(f"{old}={new}" for old, new in zip(own, names, strict=True)) if own else names


def _old_name(line: str, own: Sequence[str]) -> str | None:
    return max((label for label in own if line.startswith(f"{label}=")), key=len, default=None)


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")


def given_labels(
    own: tuple[str, ...], labels: str | os.PathLike[str] | Sequence[str] | None, model: Path
) -> tuple[tuple[str, ...], str]:
    """Return the labels to use for a model, and their source for messages: a path, or the parameter name "`labels`".

    Args:
        own: labels inside the model; () if it has none.
        labels: path of a labels file, or labels, or translations as `old=new`; None to use the labels in the model.
        model: path of the model, for messages.

    Raises:
        ModelError: the labels file cannot be read, or the labels do not belong to the model.
        WrongTypeError: `labels` is neither a path nor a sequence of strings.
    """
    if labels is None:
        return own, str(model)
    if isinstance(labels, (str, os.PathLike)):
        names, source = read_labels(Path(labels)), str(labels)
    elif isinstance(labels, Sequence) and all(isinstance(name, str) for name in labels):
        names, source = tuple(labels), "`labels`"
    else:
        raise WrongTypeError(f"`labels` must be a path or a list of names, not {type(labels).__name__}.")
    return renamed_labels(own, names, source=source, model=model), source


def checked_labels(
    names: tuple[str, ...], shape: tuple[int, ...], *, source: str, model: Path, unlabeled: bool
) -> tuple[str, ...]:
    """Check that the number of labels matches the model's output; return the labels, or () if there are none.

    Args:
        shape: shape of the output that contains the scores.
        source: where the labels come from, as returned by `given_labels`.
        model: path of the model, for messages.
        unlabeled: whether a model without labels is accepted.

    Raises:
        ModelError: required labels are missing, or their number differs from the number of scores; a model with a
            single score may have two labels.
    """
    outputs = math.prod(shape)
    if not names and unlabeled and source == str(model):
        return ()
    if not names and (other := other_answer([shape])):
        raise ModelError(f"{model}: {other}")
    if not names:
        raise ModelError(f"{source}: no labels inside. Give a text file with one label a line: `labels`")
    if len(names) != outputs and (outputs, len(names)) != (1, 2):
        background = " One label a line, also for the background." if outputs == len(names) + 1 else ""
        raise ModelError(f"{source}: {len(names)} labels, but {model} has {outputs} outputs.{background}")
    return names


def read_labels(path: Path, *, own: bool = False) -> tuple[str, ...]:
    """Read the labels from a text file in UTF-8, or in UTF-16 with a byte-order mark.

    Args:
        own: whether poets_edge wrote the file, so that each line is read unchanged as one label; otherwise,
            `parse_labels` reads the file.

    Raises:
        ModelError: the file cannot be read, is in a different encoding, or numbers its labels inconsistently.
    """
    try:
        text = decode_labels(read_bytes(path, _LARGEST_LABELS))
        return split_labels(text) if own else parse_labels(text, str(path))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ModelError(f"{path}: not a text file in UTF-8. Save it in this encoding.") from None
