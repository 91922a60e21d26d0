/** Where the keyboard is, after an element that had the focus has left the page. */

/** Whether the focus is on no control. */
export function isFocusLost(): boolean {
  const focused = document.activeElement;
  return focused === document.body || focused === document.getElementById("main");
}

/** Focuses the content of the step if the focused control in it is removed: the keyboard would start at the top again. */
export function keepFocus(): void {
  let last: Element | null = null;
  document.addEventListener("focusin", (event) => {
    const target = event.target as Element;
    last = target.closest("main") ? target : null;
  });
  new MutationObserver(() => {
    if (last === null || last.isConnected || document.activeElement !== document.body) return;
    last = null;
    document.getElementById("main")?.focus({ preventScroll: true });
  }).observe(document.getElementById("app")!, { childList: true, subtree: true });
}
