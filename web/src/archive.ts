/**
 * The zip archive that is appended to a model and contains its labels and facts.
 */

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const END_SIZE = 22;
const LONGEST_COMMENT = 0xffff;
const STORED = 0;
const DEFLATED = 8;

export interface Archive {
  /** Offset of the archive; the length of the file if there is no archive. */
  readonly start: number;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Reads the archive. Rejects with RangeError or TypeError if it is damaged. */
export async function appendedFiles(file: Uint8Array): Promise<Archive> {
  const data = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const files = new Map<string, Uint8Array>();
  const end = endRecord(data);
  if (end < 0) return { start: file.length, files };
  let entry = end - data.getUint32(end + 12, true);
  // Some writers count offsets from the start of the file, some from the start of the archive.
  const base = entry - data.getUint32(end + 16, true);
  let start = file.length;
  for (let left = data.getUint16(end + 10, true); left > 0; left--) {
    if (data.getUint32(entry, true) !== ENTRY) throw new RangeError("the archive's directory is damaged");
    const nameLength = data.getUint16(entry + 28, true);
    const name = new TextDecoder().decode(slice(file, entry + 46, nameLength));
    const header = base + data.getUint32(entry + 42, true);
    const from = header + 30 + data.getUint16(header + 26, true) + data.getUint16(header + 28, true);
    const content = slice(file, from, data.getUint32(entry + 20, true));
    files.set(name, await unpacked(content, data.getUint16(entry + 10, true)));
    start = Math.min(start, header);
    entry += 46 + nameLength + data.getUint16(entry + 30, true) + data.getUint16(entry + 32, true);
  }
  return { start, files };
}

async function unpacked(content: Uint8Array, method: number): Promise<Uint8Array> {
  if (method === STORED) return content;
  if (method !== DEFLATED) throw new RangeError("a file is compressed in a way that is not known");
  const stream = new Blob([content.slice()]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function slice(file: Uint8Array, from: number, length: number): Uint8Array {
  if (from < 0 || from + length > file.length) throw new RangeError("a file longer than the archive");
  return file.subarray(from, from + length);
}

function endRecord(data: DataView): number {
  const last = data.byteLength - END_SIZE;
  for (let at = last; at >= Math.max(0, last - LONGEST_COMMENT); at--) {
    if (data.getUint32(at, true) === END) return at;
  }
  return -1;
}
