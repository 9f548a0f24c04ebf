import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { useNotes } from "./notes";

/** Copies a text and says so. Without TLS browsers forbid the clipboard except on this machine. */
export function useCopy(): (text: string, done?: string) => void {
  const notes = useNotes();
  const { t } = useTranslation();
  return useCallback(
    (text, done) => {
      const write = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
      write.then(
        () => void notes.success(done ?? t("common.copied")),
        () => void notes.warning(t("common.copyFailed")),
      );
    },
    [notes, t],
  );
}
