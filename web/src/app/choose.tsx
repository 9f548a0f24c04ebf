interface Props<Value extends string | number> {
  /** For screen readers, where no label stands beside it. */
  label?: string;
  id?: string;
  className?: string;
  /** What a field gives to others; here it says nothing. */
  status?: "error";
  "aria-invalid"?: true;
  "aria-describedby"?: string;
  value: Value;
  options: readonly { value: Value; label: string }[];
  onChange: (value: Value) => void;
}

/** One of few: the browser's own list, which knows all keys and weighs nothing. */
export function Choose<Value extends string | number>(props: Props<Value>) {
  const { label, status: _, className = "", value, options, onChange, ...rest } = props;
  return (
    <select
      {...rest}
      aria-label={label}
      className={`plain-select ${className}`}
      value={String(value)}
      onChange={(event) => {
        const chosen = options.find((option) => String(option.value) === event.target.value);
        if (chosen) onChange(chosen.value);
      }}
    >
      {options.map((option) => (
        <option key={option.value} value={String(option.value)}>
          {option.label}
        </option>
      ))}
    </select>
  );
}
