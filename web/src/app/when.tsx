import { Tooltip } from "antd";
import type { ReactNode } from "react";
import { ago, dateTime, zoneName } from "../format/time";
import { useZone } from "./zone";

interface Props {
  /** RFC 3339. */
  at: string;
  /** Says how long ago, and the time itself on hover. */
  relative?: boolean;
  /** Says the zone when it is not the reader's own, where nothing else on the page does. */
  named?: boolean;
  /** Put around the time, for links. */
  wrap?: (time: ReactNode) => ReactNode;
}

/** A moment; on hover the zone, the time in UTC and how long ago it was. */
export function When({ at, relative = false, named = false, wrap }: Props) {
  const zone = useZone();
  const date = new Date(at);
  const text = relative ? ago(date, new Date()) : dateTime(date, zone);
  const time = <time dateTime={at}>{named && zone && !relative ? `${text} ${zone}` : text}</time>;
  return (
    <Tooltip styles={{ root: { maxWidth: 400 } }} title={() => <Moment date={date} />}>
      {wrap ? wrap(time) : time}
    </Tooltip>
  );
}

function Moment({ date }: { date: Date }) {
  return (
    <div className="moment">
      <div>{`${dateTime(date)} ${zoneName(date)}`}</div>
      <div>{`${dateTime(date, "UTC")} UTC`}</div>
      <div>{ago(date, new Date())}</div>
    </div>
  );
}
