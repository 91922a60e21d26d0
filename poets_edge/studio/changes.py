"""Operations with which the studio's web page changes a project, such as moving photos, with undo and redo.

Each change is described by a `Step`, which is recorded in a journal before it is carried out. Nothing is deleted:
removed photos are moved to the studio's bin folder, and a move never replaces a file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from poets_edge.core.files import write_together
from poets_edge.errors import OutputError
from poets_edge.photos.exclude import exclusions_json
from poets_edge.studio import messages
from poets_edge.studio.journal import Journal, Step
from poets_edge.studio.photo_lists import names_after
from poets_edge.studio.places import OWN, check_new_class
from poets_edge.studio.project import Project
from poets_edge.studio.refusal import RefusedError, missing
from poets_edge.studio.renames import finish_rename, free_name, rename
from poets_edge.studio.undoing import inverse, text_of_last


class Changes:
    """Operations that change one project. Each public method makes a change and returns its description, a `Step`.

    All methods are thread-safe.
    """

    def __init__(self, project: Project) -> None:
        """Open the project's journal, and complete any change that was interrupted by a crash.

        Raises:
            OSError: the journal cannot be read, or the project folder is not writable.
        """
        self._project = project
        self._root = project.places.root
        self._journal = Journal(project.places.journal)
        for step in self._journal.interrupted:
            self._carry_out(step, finishing=True)
            self._journal.end(step)
        project.refresh(now=True)

    @property
    def undo_text(self) -> str | None:
        """Description of the change that `undo` would undo; None if there is nothing to undo."""
        return text_of_last(self._journal.history)

    @property
    def redo_text(self) -> str | None:
        """Description of the change that `redo` would repeat; None if there is nothing to repeat."""
        return text_of_last(self._journal.undone)

    def add_class(self, name: str) -> Step:
        """Create a class folder, and return the change as a `Step`.

        Raises:
            RefusedError: the name is unsuitable or taken.
        """
        with self._project.lock:
            name = check_new_class(name, self._classes())
            self._check_absent(name)
            return self._run(self._step(messages.ADD_CLASS.format(name=name), create=(name,)))

    def rename_class(self, old: str, new: str) -> Step:
        """Rename a class folder, and return the change as a `Step`.

        Raises:
            RefusedError: there is no such class, or the new name is unsuitable or taken.
        """
        with self._project.lock:
            self._project.places.class_folder(old)
            new = check_new_class(new, tuple(name for name in self._classes() if name != old))
            if new == old:
                raise RefusedError(messages.NAMED_ALREADY.format(name=old), 409)
            self._check_absent(new)
            return self._run(self._step(messages.RENAME_CLASS.format(old=old, new=new), renames=((old, new),)))

    def remove_class(self, name: str) -> Step:
        """Move a class folder with all its files to the studio's bin folder, and return the change as a `Step`.

        Raises:
            RefusedError: there is no such class.
        """
        with self._project.lock:
            self._project.places.class_folder(name)
            folder = self._bin()
            return self._run(
                self._step(
                    messages.REMOVE_CLASS.format(name=name),
                    create=(folder,),
                    renames=((name, f"{folder}/{name}"),),
                    include=tuple(photo for photo in self._project.excluded if photo.startswith(f"{name}/")),
                    reopen=tuple(photo for photo in self._project.kept if photo.startswith(f"{name}/")),
                )
            )

    def move(self, photos: Sequence[str], label: str) -> tuple[Step, dict[str, str]]:
        """Move photos to another class.

        Args:
            photos: names of the photos, `class/file`.
            label: the class to move the photos to.

        Returns:
            The change as a `Step`, and a dictionary of the new photo names, keyed by the old names.

        Raises:
            RefusedError: a photo or the class does not exist, or all photos are in the class already.
        """
        with self._project.lock:
            self._project.places.class_folder(label)
            taken: set[Path] = set()
            moved: dict[str, str] = {}
            for name in dict.fromkeys(photos):
                path = self._project.places.photo(name)
                if name.partition("/")[0] == label:
                    continue
                new = free_name(self._root / label / path.name, taken)
                taken.add(new)
                moved[name] = f"{label}/{new.name}"
            if not moved:
                raise RefusedError(messages.IN_CLASS_ALREADY.format(label=label), 409)
            text = messages.MOVE.format(photos=messages.photos(len(moved)), label=label)
            reopen = tuple(self._project.kept.intersection(moved))  # they were kept in another class
            return self._run(self._step(text, renames=tuple(moved.items()), reopen=reopen)), moved

    def delete(self, photos: Sequence[str]) -> Step:
        """Move photos to the studio's bin folder, and return the change as a `Step`.

        Raises:
            RefusedError: a photo does not exist.
        """
        with self._project.lock:
            names = self._existing(photos)
            folder = self._bin()
            labels = dict.fromkeys(name.partition("/")[0] for name in names)
            return self._run(
                self._step(
                    messages.DELETE.format(photos=messages.photos(len(names))),
                    create=tuple(f"{folder}/{label}" for label in labels),
                    renames=tuple((name, f"{folder}/{name}") for name in names),
                    include=tuple(name for name in names if name in self._project.excluded),
                    reopen=tuple(name for name in names if name in self._project.kept),
                )
            )

    def exclude(self, photos: Sequence[str]) -> Step:
        """Exclude photos from training, and return the change as a `Step`.

        Raises:
            RefusedError: a photo does not exist, or all photos are excluded already.
        """
        with self._project.lock:
            names = [name for name in self._existing(photos) if name not in self._project.excluded]
            return self._run(
                self._step(messages.EXCLUDE.format(photos=messages.photos(len(names))), exclude=tuple(names))
            )

    def include(self, photos: Sequence[str]) -> Step:
        """Use photos for training again that were excluded from it, and return the change as a `Step`.

        Raises:
            RefusedError: a photo does not exist, or none of the photos is excluded.
        """
        with self._project.lock:
            names = [name for name in self._existing(photos) if name in self._project.excluded]
            return self._run(
                self._step(messages.INCLUDE.format(photos=messages.photos(len(names))), include=tuple(names))
            )

    def keep(self, photos: Sequence[str]) -> Step:
        """Record that the user wants to keep photos as they are, and return the change as a `Step`.

        The web page then no longer lists the findings of audits about these photos.

        Raises:
            RefusedError: a photo does not exist, or all photos are recorded already.
        """
        with self._project.lock:
            names = [name for name in self._existing(photos) if name not in self._project.kept]
            return self._run(self._step(messages.KEEP.format(photos=messages.photos(len(names))), keep=tuple(names)))

    def add_photos(self, files: Sequence[tuple[Path, str, str]], batch: str = "") -> Step:
        """Move uploaded photos into class folders, which are created if missing; return the change as a `Step`.

        Args:
            files: a tuple (current path inside the project, class, photo name) for each photo.
            batch: name of the group of changes that are undone together with this one; empty if it is undone by itself.

        Raises:
            RefusedError: the name of a new class is unsuitable.
        """
        with self._project.lock:
            classes = self._project.found.classes
            labels = dict.fromkeys(label for _, label, _ in files)
            created: list[str] = []
            for label in labels:
                if label not in classes:
                    created.append(check_new_class(label, (*classes, *created)))
            taken: set[Path] = set()
            renames = []
            for path, label, name in files:
                new = free_name(self._root / label / name, taken)
                taken.add(new)
                renames.append((path.relative_to(self._root).as_posix(), f"{label}/{new.name}"))
            text = messages.ADD.format(photos=messages.photos(len(files)))
            return self._run(self._step(text, create=tuple(created), renames=tuple(renames), batch=batch))

    def undo(self) -> Step:
        """Undo the last change, and return a `Step` that describes the undo.

        Raises:
            RefusedError: there is nothing to undo.
        """
        with self._project.lock:
            return self._repeat(self._journal.history, "undo")

    def redo(self) -> Step:
        """Repeat the most recently undone change, and return a `Step` that describes the repetition.

        Raises:
            RefusedError: there is nothing to repeat.
        """
        with self._project.lock:
            return self._repeat(self._journal.undone, "redo")

    def _repeat(self, steps: list[list[Step]], kind: Literal["undo", "redo"]) -> Step:
        if not steps:
            raise RefusedError(messages.NOTHING_TO_REPEAT.format(kind=kind), 409)
        number = self._journal.next_number
        return self._run(inverse(steps[-1], self._root, kind=kind, number=number, bin_folder=self._bin()))

    def _step(
        self,
        text: str,
        *,
        create: tuple[str, ...] = (),
        renames: tuple[tuple[str, str], ...] = (),
        remove: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        include: tuple[str, ...] = (),
        keep: tuple[str, ...] = (),
        reopen: tuple[str, ...] = (),
        batch: str = "",
    ) -> Step:
        return Step(
            number=self._journal.next_number,
            text=text,
            create=create,
            renames=renames,
            remove=remove,
            exclude=exclude,
            include=include,
            keep=keep,
            reopen=reopen,
            batch=batch,
        )

    def _run(self, step: Step) -> Step:
        """Write a change to the journal, carry it out, and return it. If a part of the change fails, undo all of it.

        Raises:
            RefusedError: the change has no effect.
            OutputError: a part failed, and the project was restored.
        """
        parts = (step.create, step.renames, step.remove, step.exclude, step.include, step.keep, step.reopen)
        # The inverse of a step whose photos were all deleted by hand has no parts; it gives access to earlier steps.
        if step.kind == "do" and not any(parts):
            raise RefusedError(messages.NOTHING_TO_CHANGE, 409)
        made = [path for path in step.create if not (self._root / path).exists()]
        try:
            self._journal.begin(step)
            self._carry_out(step)
            self._journal.end(step)
        except (OSError, OutputError) as error:
            self._revert(step, made)
            if isinstance(error, OutputError):
                raise
            raise OutputError(
                messages.NOT_CHANGED.format(path=error.filename or self._root, reason=error.strerror or error)
            ) from None
        self._project.apply(step.renames, step.create)
        return step

    def _carry_out(self, step: Step, *, finishing: bool = False) -> None:
        renamed = (path for pair in step.renames for path in pair)
        self._check_inside({Path(path).parent for path in (*step.create, *renamed, *step.remove)})
        for path in step.create:
            (self._root / path).mkdir(parents=True, exist_ok=True)
        for old, new in step.renames:
            (finish_rename if finishing else rename)(self._root / old, self._root / new)
        for path in step.remove:
            with contextlib.suppress(OSError):  # not empty, or not there
                (self._root / path).rmdir()
        self._write_lists(step)

    def _revert(self, step: Step, made: Sequence[str]) -> None:
        """Undo the parts of a failed change that were carried out, and record in the journal that it failed.

        Args:
            step: the failed change.
            made: folders in `step.create` that did not exist before the change.
        """
        with contextlib.suppress(OSError):
            for old, new in reversed(step.renames):
                finish_rename(self._root / new, self._root / old)
            for path in reversed(made):
                with contextlib.suppress(OSError):
                    (self._root / path).rmdir()
            for path in step.remove:
                (self._root / path).mkdir(exist_ok=True)
            self._journal.revert(step)
        self._project.refresh(now=True)

    def _write_lists(self, step: Step) -> None:
        """Update the files that list excluded and kept photos, as a change to the project requires.

        If one of the files cannot be written, neither is changed.
        """
        places, project = self._project.places, self._project
        lists = {
            places.excluded: (
                project.excluded,
                names_after(project.excluded, step, add=step.exclude, drop=step.include),
            ),
            places.kept: (project.kept, names_after(project.kept, step, add=step.keep, drop=step.reopen)),
        }
        changed = {path: exclusions_json(after) for path, (before, after) in lists.items() if after != before}
        if changed:
            write_together(changed)

    def _check_inside(self, folders: Iterable[Path]) -> None:
        """Raise RefusedError if a folder is outside the project, for example because of a symbolic link."""
        for folder in folders:
            if not (self._root / folder).resolve().is_relative_to(self._root):
                raise missing(str(folder))

    def _classes(self) -> tuple[str, ...]:
        self._project.refresh(now=True)
        return self._project.found.classes

    def _check_absent(self, name: str) -> None:
        if (self._root / name).exists() or (self._root / name).is_symlink():
            raise RefusedError(messages.NAME_TAKEN.format(name=name), 409)

    def _existing(self, photos: Sequence[str]) -> list[str]:
        for name in photos:
            self._project.places.photo(name)
        return list(dict.fromkeys(photos))

    def _bin(self) -> str:
        return f"{OWN}/bin/{self._journal.next_number}"
