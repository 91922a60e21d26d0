/** What is done to photos; each can be undone. */
import { change } from "./store";
import { text } from "../text";

export function moveTo(paths: readonly string[], label: string): Promise<unknown> {
  return change("/api/photos/move", { photos: paths, to: label }, text.photo.moved(paths.length, label));
}

export function exclude(paths: readonly string[]): Promise<unknown> {
  return change("/api/photos/exclude", { photos: paths }, text.photo.excludedDone(paths.length));
}

export function include(paths: readonly string[]): Promise<unknown> {
  return change("/api/photos/include", { photos: paths }, text.photo.includedDone(paths.length));
}

/** Settles what a check has found about photos: they stay as they are. */
export function keep(paths: readonly string[]): Promise<unknown> {
  return change("/api/photos/keep", { photos: paths }, text.check.kept(paths.length));
}

/** Moves photos to the bin inside the project. */
export function bin(paths: readonly string[]): Promise<unknown> {
  return change("/api/photos/delete", { photos: paths }, text.photo.deletedDone(paths.length));
}
