import { DatePicker } from "antd";
import dayjs from "dayjs";
import { useTranslation } from "react-i18next";

interface Props {
  /** RFC 3339. */
  from: string | undefined;
  to: string | undefined;
  onChange: (from: string | undefined, to: string | undefined) => void;
}

/** From and to, each of which may stay open, in the reader's zone. */
export function RangeField({ from, to, onChange }: Props) {
  const { t } = useTranslation();
  return (
    <DatePicker.RangePicker
      showTime={{ format: "HH:mm" }}
      format="YYYY-MM-DD HH:mm"
      allowEmpty={[true, true]}
      value={[from ? dayjs(from) : null, to ? dayjs(to) : null]}
      placeholder={[t("recordings.from"), t("recordings.to")]}
      aria-label={t("recordings.range")}
      onChange={(range) => onChange(range?.[0]?.toISOString(), range?.[1]?.toISOString())}
    />
  );
}
