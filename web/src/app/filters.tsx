import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { sitesQuery } from "../api/queries";
import { Choose } from "./choose";

const TYPING_MS = 300;

interface TextProps {
  label: string;
  className: string;
  value: string | undefined;
  onChange: (value?: string) => void;
}

/** A text that takes effect a moment after the last key, or at once with Enter. */
export function TextFilter({ label, className, value = "", onChange }: TextProps) {
  const { t } = useTranslation();
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(value);
  const timer = useRef<number>(undefined);
  const sent = useRef(value);

  // The address changed from elsewhere: by the back button, or by clearing all filters.
  useEffect(() => {
    if (value === sent.current) return;
    sent.current = value;
    clearTimeout(timer.current);
    setText(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const send = (next: string) => {
    clearTimeout(timer.current);
    sent.current = next.trim();
    onChange(next.trim() || undefined);
  };
  return (
    <span className={`text-filter ${className}`}>
      <input
        ref={field}
        className="plain-input"
        aria-label={label}
        placeholder={label}
        value={text}
        maxLength={200}
        onChange={(event) => {
          const next = event.target.value;
          setText(next);
          clearTimeout(timer.current);
          timer.current = window.setTimeout(() => send(next), next === "" ? 0 : TYPING_MS);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") send(text);
        }}
      />
      {text ? (
        <button
          type="button"
          className="text-clear"
          aria-label={t("common.clearField", { field: label })}
          onClick={() => {
            setText("");
            send("");
            field.current?.focus();
          }}
        >
          ×
        </button>
      ) : null}
    </span>
  );
}

interface SiteProps {
  label: string;
  /** What is chosen for all sites. */
  any: string;
  className: string;
  value: string | undefined;
  maySeeSites: boolean;
  onChange: (site?: string) => void;
}

/** One of the sites, where there is more than one to choose from. */
export function SiteFilter({ label, any, className, value, maySeeSites, onChange }: SiteProps) {
  const sites = useQuery({ ...sitesQuery, enabled: maySeeSites });
  if ((sites.data?.items.length ?? 0) <= 1 && value === undefined) return null;
  return (
    <Choose
      label={label}
      className={className}
      value={value ?? ""}
      options={[
        { value: "", label: any },
        ...(sites.data?.items ?? []).map((site) => ({ value: site.id, label: site.name })),
      ]}
      onChange={(site) => onChange(site || undefined)}
    />
  );
}
