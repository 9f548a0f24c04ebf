import { CloseOutlined, EyeInvisibleOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Snapshot } from "../core/messages";
import { type PlayerController, useSnapshot } from "./controller";
import { type AppliedMask, useMaskText } from "./mask-text";

/** Says what is not shown here, from the moment on at which it may be missing. */
export function MaskNote({ player, masks }: { player: PlayerController; masks: readonly AppliedMask[] }) {
  const { t } = useTranslation();
  const text = useMaskText();
  const count = useSnapshot(
    player,
    (s: Snapshot) => masks.filter((mask) => mask.first_us <= s.positionUs).length,
  );
  const [seen, setSeen] = useState(0);
  if (count <= seen) return null;
  const hidden = masks.filter((mask) => mask.first_us <= player.snapshot.positionUs);
  return (
    <div className="stage-masks" role="note" data-testid="masks">
      <EyeInvisibleOutlined aria-hidden />
      <ul>
        {hidden.map((mask) => (
          <li key={text(mask)}>{text(mask)}</li>
        ))}
      </ul>
      <Button
        type="text"
        size="small"
        icon={<CloseOutlined />}
        aria-label={t("common.close")}
        onClick={() => setSeen(count)}
      />
    </div>
  );
}
