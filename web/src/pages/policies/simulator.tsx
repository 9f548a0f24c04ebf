import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { Choose } from "../../app/choose";
import { useCopy } from "../../app/copy";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { type FactsSearch, readFacts } from "./facts";
import { policiesQuery } from "./queries";
import { Simulate } from "./simulate";
import { PolicyFrame } from "./site";

/** What would happen to whom. Everything asked is in the address, so a link tells somebody else the same. */
export function SimulatorPage() {
  const { t } = useTranslation("policies");
  const search = useSearch({ from: "/app/policies/simulator" });
  const navigate = useNavigate({ from: "/policies/simulator" });
  const notes = useNotes();
  const copy = useCopy();
  const change = (part: { policy?: string | undefined } & FactsSearch) =>
    void navigate({ search: { site: search.site, policy: search.policy, ...part }, replace: true });
  const facts = readFacts({ ...search });
  return (
    <PolicyFrame
      page="simulator"
      about={t("simulator.about")}
      site={search.site}
      onSite={(site) =>
        void navigate({ search: { ...search, site, policy: undefined, session: undefined }, replace: true })
      }
      actions={() => (
        <>
          <Button onClick={() => change({})}>{t("simulator.clear")}</Button>
          <Button
            onClick={async () => {
              if (await copy(window.location.href)) void notes.success(t("simulator.copied"));
            }}
          >
            {t("simulator.copy")}
          </Button>
        </>
      )}
    >
      {(site) => (
        <>
          <PolicyChoice
            site={site.id}
            value={search.policy}
            onChange={(policy) => change({ ...facts, policy })}
          />
          <Simulate
            site={site.id}
            policy={search.policy}
            facts={facts}
            onFacts={(next) => change({ ...next, policy: search.policy })}
          />
        </>
      )}
    </PolicyFrame>
  );
}

interface ChoiceProps {
  site: string;
  value: string | undefined;
  onChange: (policy: string | undefined) => void;
}

function PolicyChoice({ site, value, onChange }: ChoiceProps) {
  const { t } = useTranslation("policies");
  const list = useQuery(policiesQuery(site));
  const items = list.data?.items ?? [];
  return (
    <div className="policy-choice">
      <Field label={t("simulator.policy")}>
        {(props) => (
          <Choose
            {...props}
            value={value ?? ""}
            options={[
              { value: "", label: t("simulator.activeOne", { policy: list.data?.active.name ?? "…" }) },
              ...[...items]
                .sort((a, b) => a.kind.localeCompare(b.kind))
                .map((policy) => ({ value: policy.id, label: policy.name })),
            ]}
            onChange={(next) => onChange(next || undefined)}
          />
        )}
      </Field>
    </div>
  );
}
