/** Errors as sentences for users. */
import { unexpected } from "../text";
export class Sentence extends Error {
  override readonly name = "Sentence";
}

/** Returns the sentence for any thrown value. */
export function sentenceFor(error: unknown): string {
  if (error instanceof Sentence) return error.message;
  const detail = error instanceof Error ? error.message : String(error);
  return unexpected(detail);
}
