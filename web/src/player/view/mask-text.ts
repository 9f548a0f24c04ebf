import { useTranslation } from "react-i18next";
import type { Recording } from "../../api/types";

export type AppliedMask = NonNullable<Recording["masks"]>[number];

/** Gives a sentence of what a mask hides. */
export function useMaskText(): (mask: AppliedMask) => string {
  const { t } = useTranslation();
  return (mask) => {
    const program = mask.class ?? mask.process;
    if (program && mask.title) return t("masks.windows", { name: program, title: mask.title });
    if (program) return t("masks.program", { name: program });
    return t("masks.title", { title: mask.title ?? "" });
  };
}
