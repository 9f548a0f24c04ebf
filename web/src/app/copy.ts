import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { useNotes } from "./notes";

/** Copies a text, says so, and returns whether it did. Without TLS browsers forbid the clipboard except on this machine. */
export function useCopy(): (text: string, done?: string) => Promise<boolean> {
  const notes = useNotes();
  const { t } = useTranslation();
  return useCallback(
    async (text, done) => {
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        void notes.warning(t("common.copyFailed"));
        return false;
      }
      void notes.success(done ?? t("common.copied"));
      return true;
    },
    [notes, t],
  );
}
