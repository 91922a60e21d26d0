/** Adds pictures, zips and folders to the project, a few at a time, from any number of files. */
import { signal } from "@preact/signals";
import { Sentence } from "../src/sentence";
import { upload } from "./api";
import { complain, refresh, tell } from "./store";
import { text } from "../text";

/** A browser opens at most six connections to a server; one is for events, and one is left for everything else. */
const AT_ONCE = 4;
const REFRESH_EVERY = 50;
const PICTURE = /\.(jpe?g|png|gif|bmp|webp|tiff?|heic|heif|avif|ppm|pgm)$/i;
const ARCHIVE = /\.(zip|tar)$/i;

export interface Progress {
  readonly done: number;
  readonly all: number;
}

/** A file to add; the folders in an archive are classes, and `label` is the class of its other pictures. */
export interface Incoming {
  readonly content: Blob;
  readonly name: string;
  readonly label: string | undefined;
}

export const progress = signal<Progress | null>(null);
export const skipped = signal<readonly (readonly [string, string])[]>([]);

const queue: (Incoming & { readonly batch: string })[] = [];
let added = 0;
let workers = 0;

export function newBatch(): string {
  return crypto.randomUUID();
}

/** Adds files to the queue, which is worked off in the background. Files of one batch are undone together. */
export function enqueue(incoming: readonly Incoming[], batch = newBatch()): void {
  if (!incoming.length) return;
  if (!progress.value) {
    added = 0;
    skipped.value = [];
  }
  for (const each of incoming) queue.push({ ...each, batch });
  progress.value = { done: progress.value?.done ?? 0, all: (progress.value?.all ?? 0) + incoming.length };
  while (workers < Math.min(AT_ONCE, queue.length + workers)) void work();
}

async function work(): Promise<void> {
  workers++;
  for (let next = queue.shift(); next; next = queue.shift()) {
    try {
      const answer = await upload(next.content, next.name, next.label, next.batch);
      added += answer.added;
      if (answer.skipped.length) skipped.value = [...skipped.value, ...answer.skipped];
    } catch (error) {
      skipped.value = [...skipped.value, [next.name, error instanceof Error ? error.message : String(error)]];
      complain(error);
    }
    progress.value = { done: progress.value!.done + 1, all: progress.value!.all };
    if (progress.value.done % REFRESH_EVERY === 0) void refresh();
  }
  if (--workers) return;
  progress.value = null;
  await refresh();
  if (added) tell(text.photo.uploaded(added), { undo: true });
}

/** Files that were chosen or dropped without folders: pictures go to `label` unless a folder is their class. */
export function ofFiles(files: Iterable<File>, label: string | undefined): { incoming: Incoming[]; classless: number } {
  const incoming: Incoming[] = [];
  let classless = 0;
  for (const file of files) {
    const inside = classOf(file.webkitRelativePath);
    if (inside !== undefined && !PICTURE.test(file.name) && !ARCHIVE.test(file.name)) continue;
    const target = inside ?? label;
    if (target === undefined && !ARCHIVE.test(file.name)) classless++;
    else incoming.push({ content: file, name: file.name, label: target });
  }
  return { incoming, classless };
}

/** Everything that was dropped; must be called in the event handler, since a browser forgets it afterwards. */
export async function ofDrop(transfer: DataTransfer, label: string | undefined): Promise<ReturnType<typeof ofFiles>> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null);
  if (!entries.some((entry) => entry?.isDirectory)) return ofFiles(transfer.files, label);
  const incoming: Incoming[] = [];
  let classless = 0;
  for (const entry of entries) {
    for (const { file, path } of await filesUnder(entry!)) {
      const target = label !== undefined && path.split("/").length === 1 ? label : (classOf(path) ?? label);
      if (target === undefined && !ARCHIVE.test(file.name)) classless++;
      else incoming.push({ content: file, name: file.name, label: target });
    }
  }
  return { incoming, classless };
}

/**
 * Class of a file by its path inside a folder that was dropped or chosen: `roses/1.jpg` is a photo of roses, as is
 * `flowers/roses/1.jpg`, where the folder is a project.
 */
export function classOf(path: string): string | undefined {
  const folders = path.split("/").slice(0, -1).filter(Boolean);
  return folders[1] ?? folders[0];
}

/** Adds what was dropped or chosen, and says so where pictures have no class. */
export function add({ incoming, classless }: ReturnType<typeof ofFiles>): void {
  enqueue(incoming);
  if (classless) complain(new Sentence(text.photo.needClass));
}

async function filesUnder(entry: FileSystemEntry): Promise<{ file: File; path: string }[]> {
  if (entry.name.startsWith(".") || entry.name.startsWith("__MACOSX")) return [];
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    const wanted = PICTURE.test(file.name) || ARCHIVE.test(file.name);
    return wanted ? [{ file, path: entry.fullPath.replace(/^\//, "") }] : [];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: { file: File; path: string }[] = [];
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return found;
    for (const each of batch) found.push(...(await filesUnder(each)));
  }
}
