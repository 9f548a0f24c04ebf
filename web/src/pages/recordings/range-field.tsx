import { DatePicker } from "antd";
import dayjs, { type Dayjs } from "dayjs";
import { useTranslation } from "react-i18next";
import { type Zone, zoneName } from "../../format/time";
import { fromPicker, toPicker } from "./range";

interface Props {
  zone: Zone;
  /** RFC 3339. */
  from: string | undefined;
  to: string | undefined;
  onChange: (from: string | undefined, to: string | undefined) => void;
}

/** From and to, each of which may stay open, in the zone in which the list shows its times. */
export function RangeField({ zone, from, to, onChange }: Props) {
  const { t } = useTranslation();
  const shown = (at: string | undefined) => (at ? dayjs(toPicker(at, zone)) : null);
  const chosen = (at: Dayjs | null | undefined) => (at ? fromPicker(at.toDate(), zone) : undefined);
  return (
    <DatePicker.RangePicker
      showTime={{ format: "HH:mm" }}
      format="YYYY-MM-DD HH:mm"
      allowEmpty={[true, true]}
      value={[shown(from), shown(to)]}
      placeholder={[t("recordings.from"), t("recordings.to")]}
      aria-label={`${t("recordings.range")}, ${zoneName(new Date(), zone)}`}
      suffixIcon={zone}
      onChange={(range) => onChange(chosen(range?.[0]), chosen(range?.[1]))}
    />
  );
}
