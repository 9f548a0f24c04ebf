import { type RefObject, useEffect, useRef } from "react";
import type { PlayerController } from "./controller";
import { contained } from "./geometry";

interface Props {
  player: PlayerController;
  label: string;
  onToggle: () => void;
  onFullScreen: () => void;
}

/** The picture, as large as the room allows, with the pointer above it. */
export function Stage({ player, label, onToggle, onFullScreen }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const pointer = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    player.stage.setAttribute("aria-label", label);
    player.stage.setAttribute("role", "img");
    element.prepend(player.stage);
    return () => player.stage.remove();
  }, [player, label]);

  usePointer(player, box, pointer);

  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: space and f do the same, anywhere on the page
    // biome-ignore lint/a11y/noStaticElementInteractions: the buttons below are for keyboards and screen readers
    <div ref={box} className="stage" onClick={onToggle} onDoubleClick={onFullScreen}>
      <canvas ref={pointer} className="stage-pointer" aria-hidden data-testid="pointer" />
    </div>
  );
}

/** Keeps the pointer where it belongs. It is no part of the picture, so that the picture stays what was recorded. */
function usePointer(
  player: PlayerController,
  box: RefObject<HTMLDivElement | null>,
  pointer: RefObject<HTMLCanvasElement | null>,
): void {
  useEffect(() => {
    const frame = box.current;
    const canvas = pointer.current;
    const context = canvas?.getContext("2d");
    if (!frame || !canvas || !context) return;
    let drawn: unknown;
    let width = 0;
    const place = () => {
      const { pointer: now, snapshot } = player;
      if (!now?.place.visible || !now.shape || snapshot.width === 0) {
        canvas.hidden = true;
        return;
      }
      if (drawn !== now.shape) {
        drawn = now.shape;
        canvas.width = now.shape.width;
        canvas.height = now.shape.height;
        context.putImageData(new ImageData(now.shape.rgba, now.shape.width, now.shape.height), 0, 0);
      }
      const { x, y, scale } = contained({ width: frame.clientWidth, height: frame.clientHeight }, snapshot);
      const left = x + (now.place.x - now.place.hotX) * scale;
      const top = y + (now.place.y - now.place.hotY) * scale;
      canvas.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
      canvas.hidden = false;
    };
    player.onPointer = place;
    const observer = new ResizeObserver(place);
    observer.observe(frame);
    // A change of the picture's size moves the pointer too.
    const unsubscribe = player.subscribe(() => {
      if (player.snapshot.width !== width) {
        width = player.snapshot.width;
        place();
      }
    });
    place();
    return () => {
      player.onPointer = () => undefined;
      observer.disconnect();
      unsubscribe();
    };
  }, [player, box, pointer]);
}
