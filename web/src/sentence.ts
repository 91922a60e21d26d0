/** Whatever went wrong, as one sentence for the person who looks at the page. */
import { unexpected } from "../text";
export class Sentence extends Error {
  override readonly name = "Sentence";
}

/** What to show for anything that was thrown. */
export function sentenceFor(error: unknown): string {
  if (error instanceof Sentence) return error.message;
  const detail = error instanceof Error ? error.message : String(error);
  return unexpected(detail);
}
