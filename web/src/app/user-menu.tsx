import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { answer, api } from "../api/client";
import type { Me } from "../api/types";
import { Preferences } from "./preferences";

export function UserMenu({ me, onDone }: { me: Me; onDone: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const client = useQueryClient();
  const signOut = useMutation({
    mutationFn: () => answer(api.POST("/api/v1/sign-out")),
    onSettled: async (left) => {
      onDone();
      if (left?.next) {
        // The provider by which the person came in forgets them as well, and sends them back.
        window.location.assign(left.next);
        return;
      }
      await navigate({ to: "/sign-in", search: {} });
      // Nothing of one person's lists may be left for the next.
      client.clear();
    },
  });
  return (
    <div className="user-menu">
      <div>
        <b className="user-menu-name">{me.user}</b>
        <div className="quiet">{t(`roles.${me.role}`, { defaultValue: me.role })}</div>
      </div>
      <Preferences />
      <Button
        block
        onClick={() => {
          onDone();
          void navigate({ to: "/account" });
        }}
      >
        {t("nav.account")}
      </Button>
      <Button block loading={signOut.isPending} onClick={() => signOut.mutate()}>
        {t("nav.signOut")}
      </Button>
    </div>
  );
}
