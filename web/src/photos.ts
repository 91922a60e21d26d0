/** Pictures from files: chosen, taken with the phone's camera app, dropped, or pasted. */
import { Sentence } from "./sentence";
import { photoText } from "../text";

const MOST_MEGAPIXELS = 64; // 256 MB when decoded, about the limit of browsers on phones

/** Decodes a picture and rotates it upright. Rejects with Sentence. */
export async function decodePhoto(file: Blob): Promise<ImageBitmap> {
  const url = URL.createObjectURL(file);
  try {
    const image = new Image();
    image.src = url;
    const loaded = await new Promise<boolean>((resolve) => {
      image.onload = () => resolve(true);
      image.onerror = () => resolve(false);
    });
    if (!loaded) throw await unreadable(file);
    const megapixels = (image.naturalWidth * image.naturalHeight) / 1e6;
    if (megapixels > MOST_MEGAPIXELS) {
      throw new Sentence(photoText.large(Math.round(megapixels), MOST_MEGAPIXELS));
    }
    try {
      // An embedded color profile is not applied, as in Python.
      return await createImageBitmap(file, { colorSpaceConversion: "none" });
    } catch {
      throw await unreadable(file);
    }
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Calls `take` with each picture that is dropped on the page or pasted into it. Returns a function that stops this. */
export function watchDropAndPaste(take: (file: File) => void, mark: (dragging: boolean) => void): () => void {
  const listeners = new AbortController();
  const { signal } = listeners;
  const over = (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    mark(true);
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    mark(false);
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  };
  const paste = (event: ClipboardEvent) => {
    const file = event.clipboardData?.files[0];
    if (file) take(file);
  };
  document.addEventListener("dragover", over, { signal });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false), { signal });
  document.addEventListener("drop", drop, { signal });
  document.addEventListener("paste", paste, { signal });
  return () => listeners.abort();
}

async function unreadable(file: Blob): Promise<Sentence> {
  const start = new TextDecoder("latin1").decode(await file.slice(0, 32).arrayBuffer());
  if (/^....ftyp(hei|hev|mif1|msf1)/s.test(start)) {
    return new Sentence(photoText.heic);
  }
  return new Sentence(photoText.unreadable);
}
