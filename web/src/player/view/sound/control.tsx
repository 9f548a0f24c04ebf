import { MutedOutlined, SoundOutlined } from "@ant-design/icons";
import { Button, Slider, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import type { Snapshot } from "../../core/messages";
import { FASTEST_WITH_SOUND } from "../../core/sound-feed";
import { type PlayerController, useSnapshot, useSound } from "../controller";
import type { Action } from "../keys";

const isTooFast = (s: Snapshot) => s.rate > FASTEST_WITH_SOUND;
const hasSound = (s: Snapshot) => s.sound;

interface Props {
  player: PlayerController;
  act: (action: Action) => void;
}

/** Sound on and off, and how loud; nothing where the recording has none. */
export function SoundControl({ player, act }: Props) {
  const { t } = useTranslation();
  const { able, muted, volume } = useSound(player);
  const there = useSnapshot(player, hasSound);
  const tooFast = useSnapshot(player, isTooFast);
  if (!there) return null;
  const off = muted || !able || tooFast;
  const label = muted ? t("player.unmute") : t("player.mute");
  const title = able ? (tooFast ? t("player.soundFast") : `${label} (M)`) : t("player.soundUnable");
  return (
    <span className="sound">
      <Tooltip
        title={title}
        getPopupContainer={(trigger) => trigger.closest<HTMLElement>(".player") ?? trigger}
      >
        <Button
          type="text"
          icon={off ? <MutedOutlined /> : <SoundOutlined />}
          aria-label={label}
          aria-keyshortcuts="M"
          aria-pressed={!muted}
          data-testid="sound"
          disabled={!able}
          onClick={(event) => {
            // The space bar shall go on meaning play and pause.
            if (event.detail > 0) event.currentTarget.blur();
            act({ do: "mute" });
          }}
        />
      </Tooltip>
      <Slider
        className="sound-volume"
        min={0}
        max={1}
        step={0.05}
        value={off ? 0 : volume}
        disabled={!able || tooFast}
        tooltip={{ open: false }}
        ariaLabelForHandle={t("player.volume")}
        onChange={(value) => act({ do: "volume", by: value - volume })}
      />
    </span>
  );
}

/** Says that there is sound while the browser lets nothing be heard. */
export function SoundHint({ player }: { player: PlayerController }) {
  const { t } = useTranslation();
  const { blocked } = useSound(player);
  if (!blocked) return null;
  // Any touch of the page will do; here it changes nothing else.
  return (
    <button type="button" className="sound-hint" data-testid="sound-hint">
      <MutedOutlined /> {t("player.soundBlocked")}
    </button>
  );
}
