import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, Checkbox, Input, InputNumber } from "antd";
import type { TFunction } from "i18next";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { answer, api } from "../../api/client";
import { asApiError } from "../../api/problem";
import { directoriesQuery } from "../../api/queries";
import type { Directory, LdapSettings, OpenIdSettings, Tried } from "../../api/types";
import { Choose } from "../../app/choose";
import { Dialog } from "../../app/dialog";
import { Field } from "../../app/field";
import { useNotes } from "../../app/notes";
import { Command, ProblemAlert } from "../../app/states";
import { newLdap, newOpenId, PRESETS } from "./settings";
import { Steps } from "./steps";

interface Props {
  kind: Directory["kind"];
  /** The one to change; a new one without it. */
  directory: Directory | undefined;
  onClose: () => void;
}

/** Connects a directory, or changes one. Can be tried out before anything is kept. */
export function EditDirectory({ kind, directory, onClose }: Props) {
  const { t } = useTranslation(["translation", "directories"]);
  const notes = useNotes();
  const client = useQueryClient();
  const [name, setName] = useState(directory?.name ?? "");
  const [enabled, setEnabled] = useState(directory?.enabled ?? true);
  const [ldap, setLdap] = useState<LdapSettings>(directory?.ldap ?? newLdap());
  const [openid, setOpenid] = useState<OpenIdSettings>(directory?.openid ?? newOpenId());
  const [secret, setSecret] = useState("");
  const [checked, setChecked] = useState(false);
  const [touched, setTouched] = useState(false);
  const settings = kind === "ldap" ? { ldap: cleaned(ldap) } : { openid };

  const write = useMutation({
    mutationFn: () => {
      const given = secret ? { secret } : {};
      return directory
        ? answer(
            api.PATCH("/api/v1/directories/{id}", {
              params: { path: { id: directory.id } },
              body: { version: directory.version, name: name.trim(), enabled, ...settings, ...given },
            }),
          )
        : answer(
            api.POST("/api/v1/directories", { body: { name: name.trim(), enabled, ...settings, ...given } }),
          );
    },
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: directoriesQuery.queryKey });
      void notes.success(t(directory ? "directories:saved" : "directories:created"));
      onClose();
    },
  });
  const test = useMutation({
    mutationFn: () =>
      answer(
        api.POST("/api/v1/directories/test", {
          body: {
            ...settings,
            ...(secret ? { secret } : {}),
            ...(directory ? { directory: directory.id } : {}),
          },
        }),
      ),
  });
  const errors = {
    name: name.trim() ? undefined : t("directories:nameMissing"),
    servers: cleaned(ldap).servers.length > 0 ? undefined : t("directories:serversMissing"),
    base: ldap.user_base.trim() ? undefined : t("directories:baseMissing"),
    issuer: openid.issuer.trim() ? undefined : t("directories:issuerMissing"),
    client: openid.client_id.trim() ? undefined : t("directories:clientMissing"),
  };
  const wrong =
    errors.name || (kind === "ldap" ? errors.servers || errors.base : errors.issuer || errors.client);
  const act = (deed: { isPending: boolean; mutate: () => void }) => () => {
    setChecked(true);
    if (!wrong && !deed.isPending) deed.mutate();
  };
  const shown = (error: string | undefined) => (checked ? error : undefined);
  const change =
    <T,>(set: (value: T) => void) =>
    (value: T) => {
      set(value);
      setTouched(true);
      test.reset();
    };
  const changeLdap = change(setLdap);
  const changeOpenid = change(setOpenid);
  const taken = write.error && asApiError(write.error).status === 409 ? write.error : undefined;

  return (
    <Dialog
      title={
        directory ? t("directories:editTitle", { directory: directory.name }) : t(`directories:new_${kind}`)
      }
      onClose={onClose}
      onSubmit={act(write)}
      firm={touched}
      width={680}
      footer={
        <>
          <Button onClick={act(test)} loading={test.isPending}>
            {t("directories:test")}
          </Button>
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="primary" htmlType="submit" loading={write.isPending}>
            {directory ? t("directories:save") : t("directories:connect")}
          </Button>
        </>
      }
    >
      <div className="form directory-form">
        <ProblemAlert error={write.error ?? test.error} />
        <Field
          label={t("directories:name")}
          hint={t("directories:nameHint")}
          error={shown(errors.name) ?? (taken ? undefined : undefined)}
        >
          {(props) => (
            <Input
              {...props}
              maxLength={60}
              value={name}
              onChange={(event) => change(setName)(event.target.value)}
            />
          )}
        </Field>
        {kind === "ldap" ? (
          <LdapFields
            value={ldap}
            onChange={changeLdap}
            errors={{ servers: shown(errors.servers), base: shown(errors.base) }}
            secret={
              <Secret
                value={secret}
                onChange={change(setSecret)}
                kept={directory?.has_secret}
                label={t("directories:password")}
              />
            }
          />
        ) : (
          <OpenIdFields
            value={openid}
            onChange={changeOpenid}
            errors={{ issuer: shown(errors.issuer), client: shown(errors.client) }}
            secret={
              <Secret
                value={secret}
                onChange={change(setSecret)}
                kept={directory?.has_secret}
                label={t("directories:clientSecret")}
              />
            }
          />
        )}
        <Checkbox checked={enabled} onChange={(event) => change(setEnabled)(event.target.checked)}>
          {t("directories:enabled")}
        </Checkbox>
        {kind === "openid" ? (
          <div>
            <p className="quiet">{t("directories:redirect")}</p>
            <Command
              text={directory?.redirect_uri ?? `${window.location.origin}/api/v1/sign-in/openid/callback`}
            />
            {directory?.redirect_uri ? (
              <>
                <p className="quiet">{t("directories:backChannel")}</p>
                <Command text={backChannel(directory.redirect_uri, directory.id)} />
              </>
            ) : null}
          </div>
        ) : null}
        {test.data ? <Steps tried={test.data as Tried} /> : null}
      </div>
    </Dialog>
  );
}

/** Without empty lines, which are no servers. */
function cleaned(settings: LdapSettings): LdapSettings {
  const servers = settings.servers.map((server) => server.trim()).filter(Boolean);
  return { ...settings, servers, authority: settings.authority?.trim() || null };
}

function Secret(props: {
  value: string;
  onChange: (value: string) => void;
  kept: boolean | undefined;
  label: string;
}) {
  const { t } = useTranslation(["translation", "directories"]);
  return (
    <Field label={props.label} {...(props.kept ? { hint: t("directories:secretKept") } : {})}>
      {(given) => (
        <Input.Password
          {...given}
          autoComplete="new-password"
          value={props.value}
          onChange={(event) => props.onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

type LdapText = "bind_dn" | "user_base" | "group_base" | "user_filter" | "group_filter";
type OpenIdText = "issuer" | "client_id" | "user_claim" | "groups_claim";

/** Makes fields for settings that are texts. */
function texts<N extends LdapText | OpenIdText>(
  t: TFunction<["translation", "directories"]>,
  value: { [name in N]?: string | null },
  onChange: (change: { [name in N]?: string }) => void,
) {
  return (name: N, more: { hint?: string; error?: string | undefined; placeholder?: string } = {}) => (
    <Field
      label={t(`directories:${name as LdapText | OpenIdText}`)}
      {...(more.hint ? { hint: more.hint } : {})}
      error={more.error}
    >
      {(props) => (
        <Input
          {...props}
          spellCheck={false}
          placeholder={more.placeholder}
          value={value[name] ?? ""}
          onChange={(event) => onChange({ [name]: event.target.value } as { [name in N]?: string })}
        />
      )}
    </Field>
  );
}

interface FieldsProps<T> {
  value: T;
  onChange: (value: T) => void;
  errors: Record<string, string | undefined>;
  secret: ReactNode;
}

function LdapFields({ value, onChange, errors, secret }: FieldsProps<LdapSettings>) {
  const { t } = useTranslation(["translation", "directories"]);
  const preset = PRESETS[value.preset ?? "openldap"];
  const text = texts<LdapText>(t, value, (change) => onChange({ ...value, ...change }));
  return (
    <>
      <Field label={t("directories:preset")}>
        {(props) => (
          <Choose
            {...props}
            value={value.preset ?? "openldap"}
            options={(["active-directory", "openldap"] as const).map((preset) => ({
              value: preset,
              label: t(`directories:presets.${preset}`),
            }))}
            onChange={(preset) => onChange({ ...newLdap(preset), ...keep(value) })}
          />
        )}
      </Field>
      <Field label={t("directories:servers")} hint={t("directories:serversHint")} error={errors.servers}>
        {(props) => (
          <Input.TextArea
            {...props}
            rows={2}
            spellCheck={false}
            placeholder="ldaps://dc1.example.org"
            value={value.servers.join("\n")}
            onChange={(event) => onChange({ ...value, servers: event.target.value.split("\n") })}
          />
        )}
      </Field>
      {text("bind_dn", { hint: t("directories:bindHint"), placeholder: preset.bind })}
      {secret}
      <div className="directory-pair">
        {text("user_base", { error: errors.base, placeholder: preset.base })}
        {text("group_base", { placeholder: t("directories:sameBase") })}
      </div>
      <Checkbox
        checked={value.sign_in !== false}
        onChange={(event) => onChange({ ...value, sign_in: event.target.checked })}
      >
        {t("directories:sign_in")}
      </Checkbox>
      <details className="directory-more">
        <summary>{t("directories:more")}</summary>
        <div className="form">
          <Authority value={value.authority} onChange={(authority) => onChange({ ...value, authority })} />
          <div className="directory-pair">
            {text("user_filter", { placeholder: preset.userFilter })}
            {text("group_filter", { placeholder: preset.groupFilter })}
          </div>
          <div className="directory-attributes">
            {(Object.keys(preset.attributes) as (keyof typeof preset.attributes)[]).map((name) => (
              <Field key={name} label={t(`directories:attribute_${name}`)}>
                {(props) => (
                  <Input
                    {...props}
                    spellCheck={false}
                    placeholder={preset.attributes[name]}
                    value={value.attributes?.[name] ?? ""}
                    onChange={(event) =>
                      onChange({ ...value, attributes: { ...value.attributes, [name]: event.target.value } })
                    }
                  />
                )}
              </Field>
            ))}
            <Field label={t("directories:nesting")}>
              {(props) => (
                <Choose
                  {...props}
                  value={value.nesting ?? "auto"}
                  options={(["auto", "chain", "walk", "direct"] as const).map((nesting) => ({
                    value: nesting,
                    label: t(`directories:nestings.${nesting}`),
                  }))}
                  onChange={(nesting) => onChange({ ...value, nesting })}
                />
              )}
            </Field>
            <Amount
              label={t("directories:seconds")}
              min={1}
              max={15}
              value={value.seconds ?? 5}
              onChange={(seconds) => onChange({ ...value, seconds })}
            />
            <Amount
              label={t("directories:check_minutes")}
              min={1}
              max={1440}
              value={value.check_minutes ?? 5}
              onChange={(check_minutes) => onChange({ ...value, check_minutes })}
            />
          </div>
          <Checkbox
            checked={value.plain === true}
            onChange={(event) => onChange({ ...value, plain: event.target.checked })}
          >
            {t("directories:plain")}
          </Checkbox>
        </div>
      </details>
    </>
  );
}

function OpenIdFields({ value, onChange, errors, secret }: FieldsProps<OpenIdSettings>) {
  const { t } = useTranslation(["translation", "directories"]);
  const text = texts<OpenIdText>(t, value, (change) => onChange({ ...value, ...change }));
  return (
    <>
      {text("issuer", {
        hint: t("directories:issuerHint"),
        error: errors.issuer,
        placeholder: "https://login.example.org",
      })}
      {text("client_id", { error: errors.client, placeholder: "playhead" })}
      {secret}
      <div className="directory-pair">
        {text("user_claim")}
        {text("groups_claim", { hint: t("directories:claimHint") })}
      </div>
      <details className="directory-more">
        <summary>{t("directories:more")}</summary>
        <div className="form">
          <Authority value={value.authority} onChange={(authority) => onChange({ ...value, authority })} />
          <Field label={t("directories:scopes")} hint={t("directories:scopesHint")}>
            {(props) => (
              <Input
                {...props}
                spellCheck={false}
                value={(value.scopes ?? []).join(" ")}
                onChange={(event) => onChange({ ...value, scopes: event.target.value.split(" ") })}
                onBlur={() => onChange({ ...value, scopes: (value.scopes ?? []).filter(Boolean) })}
              />
            )}
          </Field>
          <div className="directory-pair">
            <Amount
              label={t("directories:clock_skew_seconds")}
              min={0}
              max={600}
              value={value.clock_skew_seconds ?? 60}
              onChange={(clock_skew_seconds) => onChange({ ...value, clock_skew_seconds })}
            />
            <Amount
              label={t("directories:session_minutes")}
              min={5}
              max={1440}
              value={value.session_minutes ?? 480}
              onChange={(session_minutes) => onChange({ ...value, session_minutes })}
            />
          </div>
        </div>
      </details>
    </>
  );
}

function Authority({
  value,
  onChange,
}: {
  value: string | null | undefined;
  onChange: (value: string | null) => void;
}) {
  const { t } = useTranslation(["translation", "directories"]);
  return (
    <Field label={t("directories:authority")} hint={t("directories:authorityHint")}>
      {(props) => (
        <Input.TextArea
          {...props}
          rows={3}
          spellCheck={false}
          className="directory-pem"
          placeholder="-----BEGIN CERTIFICATE-----"
          value={value ?? ""}
          onChange={(event) => onChange(event.target.value || null)}
        />
      )}
    </Field>
  );
}

function Amount(props: {
  label: string;
  min: number;
  max: number;
  value: number;
  onChange: (value: number) => void;
}) {
  return (
    <Field label={props.label}>
      {(given) => (
        <InputNumber
          {...given}
          min={props.min}
          max={props.max}
          precision={0}
          value={props.value}
          onChange={(value) => props.onChange(value ?? props.min)}
        />
      )}
    </Field>
  );
}

/** What is not in the preset: it stays when another one is chosen. */
function keep(settings: LdapSettings): Partial<LdapSettings> {
  const { servers, bind_dn, user_base, group_base, authority, plain, sign_in, seconds, check_minutes } =
    settings;
  return {
    servers,
    user_base,
    authority,
    ...(bind_dn === undefined ? {} : { bind_dn }),
    ...(group_base === undefined ? {} : { group_base }),
    ...(plain === undefined ? {} : { plain }),
    ...(sign_in === undefined ? {} : { sign_in }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(check_minutes === undefined ? {} : { check_minutes }),
  };
}

/** Where a provider tells that somebody signed out there: beside the address to come back to. */
function backChannel(redirect: string, id: string): string {
  return redirect.replace(/[^/]*$/, `${id}/back-channel-logout`);
}
