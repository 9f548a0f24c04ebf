import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Button, Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { answer, api } from "../api/client";
import type { Me } from "../api/types";
import { type Choice, setTheme, useThemeChoice } from "./theme";

export function UserMenu({ me, onDone }: { me: Me; onDone: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const client = useQueryClient();
  const choice = useThemeChoice();
  const signOut = useMutation({
    mutationFn: () =>
      answer(api.POST("/api/v1/sign-out", { headers: { "content-type": "application/json" } })),
    onSettled: async () => {
      onDone();
      await navigate({ to: "/sign-in", search: {} });
      // Nothing of one person's lists may be left for the next.
      client.clear();
    },
  });
  return (
    <div className="user-menu">
      <div>
        <b>{me.user}</b>
        <div className="quiet">{me.role}</div>
      </div>
      <div>
        <div className="quiet" id="theme-label">
          {t("nav.theme")}
        </div>
        <Segmented<Choice>
          block
          aria-labelledby="theme-label"
          value={choice}
          onChange={setTheme}
          options={[
            { value: "system", label: t("nav.themeSystem") },
            { value: "light", label: t("nav.themeLight") },
            { value: "dark", label: t("nav.themeDark") },
          ]}
        />
      </div>
      <Button
        block
        onClick={() => {
          onDone();
          void navigate({ to: "/password", search: {} });
        }}
      >
        {t("nav.password")}
      </Button>
      <Button block loading={signOut.isPending} onClick={() => signOut.mutate()}>
        {t("nav.signOut")}
      </Button>
    </div>
  );
}
