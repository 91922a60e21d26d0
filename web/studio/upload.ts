/** Adds pictures, zips and folders to the project, a few at a time, from any number of files. */
import { signal } from "@preact/signals";
import { Sentence } from "../src/sentence";
import { Unreachable, upload } from "./api";
import { complain, refresh, tell } from "./store";
import { text } from "../text";

/** A browser opens at most six connections to a server; one is for events, and one is left for everything else. */
const AT_ONCE = 4;
const REFRESH_EVERY = 50;
const PICTURE = /\.(jpe?g|png|gif|bmp|webp|tiff?|heic|heif|avif|ppm|pgm)$/i;
const ARCHIVE = /\.(zip|tar)$/i;
const SYSTEM_FILE = /^(\.|thumbs\.db$|desktop\.ini$)/i;
const LARGEST_PHOTO = 2 ** 28; // bytes, as the server accepts them
const LARGEST_ARCHIVE = 2 ** 33;

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

/** Name of a file that is not added, and why. */
type Skipped = readonly [name: string, reason: string];

/** Files to add, the number of photos without a class, and the files that cannot be added. */
interface Sorted {
  readonly incoming: Incoming[];
  classless: number;
  readonly refused: Skipped[];
}

export const progress = signal<Progress | null>(null);
export const skipped = signal<readonly Skipped[]>([]);

const queue: (Incoming & { readonly batch: string; readonly tells: boolean })[] = [];
let added = 0;
let workers = 0;

export function newBatch(): string {
  return crypto.randomUUID();
}

/**
 * Adds files to the queue, which is worked off in the background. Files of one batch are undone together. `tells` is
 * false if the page shows the number of added photos elsewhere.
 */
export function enqueue(incoming: readonly Incoming[], batch = newBatch(), tells = true): void {
  if (!incoming.length) return;
  if (!progress.value) begin();
  for (const each of incoming) queue.push({ ...each, batch, tells });
  progress.value = { done: progress.value?.done ?? 0, all: (progress.value?.all ?? 0) + incoming.length };
  while (workers < Math.min(AT_ONCE, queue.length + workers)) void work();
}

function begin(): void {
  added = 0;
  skipped.value = [];
}

async function work(): Promise<void> {
  workers++;
  for (let next = queue.shift(); next; next = queue.shift()) {
    try {
      const answer = await upload(next.content, next.name, next.label, next.batch);
      if (next.tells) added += answer.added;
      if (answer.skipped.length) skipped.value = [...skipped.value, ...answer.skipped];
    } catch (error) {
      const unsent = error instanceof Unreachable;
      skipped.value = [...skipped.value, [next.name, unsent ? text.photo.notSent : (error as Error).message]];
      if (unsent) void refresh(); // tells whether the server is there, or only this file cannot be read or sent
      else complain(error);
    }
    progress.value = { done: progress.value!.done + 1, all: progress.value!.all };
    if (progress.value.done % REFRESH_EVERY === 0) void refresh();
  }
  if (--workers) return;
  progress.value = null;
  await refresh();
  if (added) tell(text.photo.uploaded(added), { undo: true });
  else complainOfSkipped();
}

/** Tells why nothing was added; the list of all skipped files can be opened. */
function complainOfSkipped(): void {
  const [first, ...others] = skipped.value;
  if (first) complain(new Sentence(text.photo.skippedAll(...first, others.length)));
}

/** Files that were chosen or dropped without folders: photos go to `label` unless a folder is their class. */
export function ofFiles(files: Iterable<File>, label: string | undefined): Sorted {
  const sorted: Sorted = { incoming: [], classless: 0, refused: [] };
  for (const file of files) sort(file, classOf(file.webkitRelativePath) ?? label, sorted);
  return sorted;
}

/** Everything that was dropped; must be called in the event handler, since a browser forgets it afterwards. */
export async function ofDrop(transfer: DataTransfer, label: string | undefined): Promise<Sorted> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null);
  if (!entries.some((entry) => entry?.isDirectory)) return ofFiles(transfer.files, label);
  const sorted: Sorted = { incoming: [], classless: 0, refused: [] };
  for (const entry of entries) {
    for (const { file, path } of await filesUnder(entry!)) {
      const isLoose = path.split("/").length === 1;
      sort(file, label !== undefined && isLoose ? label : (classOf(path) ?? label), sorted);
    }
  }
  return sorted;
}

function sort(file: File, label: string | undefined, sorted: Sorted): void {
  if (SYSTEM_FILE.test(file.name)) return;
  const isArchive = ARCHIVE.test(file.name);
  const most = isArchive ? LARGEST_ARCHIVE : LARGEST_PHOTO;
  if (!isArchive && !mayBePhoto(file)) sorted.refused.push([file.name, text.photo.notPhoto]);
  else if (file.size > most) sorted.refused.push([file.name, text.photo.tooLarge(most)]);
  else if (label === undefined && !isArchive) sorted.classless++;
  else sorted.incoming.push({ content: file, name: file.name, label });
}

/** The server recognizes photos by their content; here, files with the suffix of another format are left out. */
function mayBePhoto(file: File): boolean {
  return PICTURE.test(file.name) || file.type.startsWith("image/") || !file.name.includes(".");
}

/**
 * Class of a file by its path inside a folder that was dropped or chosen: `roses/1.jpg` is a photo of roses, as is
 * `flowers/roses/1.jpg`, where the folder is a project.
 */
export function classOf(path: string): string | undefined {
  const folders = path.split("/").slice(0, -1).filter(Boolean);
  return folders[1] ?? folders[0];
}

/** Adds what was dropped or chosen, and tells which files were not added. */
export function add({ incoming, classless, refused }: Sorted): void {
  if (!progress.value) begin();
  enqueue(incoming);
  skipped.value = [...skipped.value, ...refused];
  if (classless) complain(new Sentence(text.photo.needClass));
  else if (!incoming.length) complainOfSkipped();
}

async function filesUnder(entry: FileSystemEntry): Promise<{ file: File; path: string }[]> {
  if (entry.name.startsWith(".") || entry.name.startsWith("__MACOSX")) return [];
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: { file: File; path: string }[] = [];
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return found;
    for (const each of batch) found.push(...(await filesUnder(each)));
  }
}
