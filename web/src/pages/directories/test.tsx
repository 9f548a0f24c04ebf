import { useMutation } from "@tanstack/react-query";
import { Button, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import type { Directory } from "../../api/types";
import { Dialog } from "../../app/dialog";
import { Field } from "../../app/field";
import { ProblemAlert } from "../../app/states";
import { Steps } from "./steps";

/** Tries a directory out, with somebody's name and password where they are given. */
export function TestDirectory({ directory, onClose }: { directory: Directory; onClose: () => void }) {
  const { t } = useTranslation(["translation", "directories"]);
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const test = useMutation({
    mutationFn: () => {
      const given = { ...(user.trim() ? { user: user.trim() } : {}), ...(password ? { password } : {}) };
      return answer(api.POST("/api/v1/directories/test", { body: { directory: directory.id, ...given } }));
    },
  });
  return (
    <Dialog
      title={t("directories:testTitle", { directory: directory.name })}
      onClose={onClose}
      onSubmit={() => {
        if (!test.isPending) test.mutate();
      }}
      width={680}
      footer={
        <>
          <Button onClick={onClose}>{t("common.close")}</Button>
          <Button type="primary" htmlType="submit" loading={test.isPending}>
            {t("directories:test")}
          </Button>
        </>
      }
    >
      <div className="form">
        <ProblemAlert error={test.error} />
        {directory.kind === "ldap" ? (
          <div className="directory-pair">
            <Field label={t("directories:testUser")} hint={t("directories:testUserHint")}>
              {(props) => (
                <Input
                  {...props}
                  spellCheck={false}
                  value={user}
                  onChange={(event) => setUser(event.target.value)}
                />
              )}
            </Field>
            <Field label={t("directories:testPassword")} hint={t("directories:testPasswordHint")}>
              {(props) => (
                <Input.Password
                  {...props}
                  autoComplete="off"
                  value={password}
                  onChange={(event) => setPassword(event.target.value)}
                />
              )}
            </Field>
          </div>
        ) : null}
        {test.data ? <Steps tried={test.data} /> : null}
      </div>
    </Dialog>
  );
}
