const FIELDS = new Set(["INPUT", "TEXTAREA", "SELECT"]);

/** Whether a key press belongs to a field somebody types into, or to an open dialog or menu. */
export function typing(event: KeyboardEvent): boolean {
  const target = event.target instanceof HTMLElement ? event.target : undefined;
  if (!target) return false;
  if (target.isContentEditable) return true;
  return (
    FIELDS.has(target.tagName) ||
    target.closest("dialog, [role=dialog], [role=listbox], [role=menu]") !== null
  );
}

/** Gives the focus to the page itself, beside the navigation. */
export function focusContent(): void {
  document.getElementById("content")?.focus({ preventScroll: true });
}
