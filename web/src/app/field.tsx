import { type ReactNode, useId } from "react";

interface Given {
  id: string;
  "aria-invalid"?: true;
  "aria-describedby"?: string;
  status?: "error";
}

interface Props {
  label: string;
  hint?: string;
  error?: string | undefined;
  children: (props: Given) => ReactNode;
}

/** A labelled field with what is wrong about its content below it. */
export function Field({ label, hint, error, children }: Props) {
  const id = useId();
  const note = error ?? hint;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        ...(note ? { "aria-describedby": `${id}-note` } : {}),
        ...(error ? { "aria-invalid": true as const, status: "error" as const } : {}),
      })}
      {note ? (
        <div id={`${id}-note`} className={error ? "field-error" : "quiet"}>
          {note}
        </div>
      ) : null}
    </div>
  );
}
