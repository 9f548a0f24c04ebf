import { type RefObject, useEffect, useRef } from "react";
import type { PlayerController } from "./controller";
import { placed } from "./geometry";
import type { Part } from "./monitors";

interface Props {
  player: PlayerController;
  label: string;
  /** The part of the picture to show; undefined: all of it. */
  part: Part | undefined;
  onToggle: () => void;
  onFullScreen: () => void;
}

/** The picture or a part of it, as large as the room allows, with the pointer above it. */
export function Stage({ player, label, part, onToggle, onFullScreen }: Props) {
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

  usePart(player, box, part);
  usePointer(player, box, pointer, part);

  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: space and f do the same, anywhere on the page
    // biome-ignore lint/a11y/noStaticElementInteractions: the buttons below are for keyboards and screen readers
    <div ref={box} className="stage" onClick={onToggle} onDoubleClick={onFullScreen}>
      <canvas ref={pointer} className="stage-pointer" aria-hidden data-testid="pointer" />
    </div>
  );
}

/** Moves the picture so that the part fills the room, and cuts off the rest. */
function usePart(
  player: PlayerController,
  box: RefObject<HTMLDivElement | null>,
  part: Part | undefined,
): void {
  useEffect(() => {
    const frame = box.current;
    if (!frame || !part) return;
    const { style } = player.stage;
    const place = () => {
      const { width, height } = player.snapshot;
      const { x, y, scale } = placed({ width: frame.clientWidth, height: frame.clientHeight }, part);
      const cut = [part.y, width - part.x - part.width, height - part.y - part.height, part.x].map(
        (pixels) => `${Math.max(0, pixels) * scale}px`,
      );
      style.position = "absolute";
      style.objectFit = "fill";
      style.left = `${x}px`;
      style.top = `${y}px`;
      style.width = `${width * scale}px`;
      style.height = `${height * scale}px`;
      style.clipPath = `inset(${cut.join(" ")})`;
    };
    const observer = new ResizeObserver(place);
    observer.observe(frame);
    place();
    return () => {
      observer.disconnect();
      player.stage.removeAttribute("style");
    };
  }, [player, box, part]);
}

/** Keeps the pointer where it belongs. It is no part of the picture, so that the picture stays what was recorded. */
function usePointer(
  player: PlayerController,
  box: RefObject<HTMLDivElement | null>,
  pointer: RefObject<HTMLCanvasElement | null>,
  part: Part | undefined,
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
      const shown = part ?? { x: 0, y: 0, width: snapshot.width, height: snapshot.height };
      if (part && !holds(part, now.place)) {
        canvas.hidden = true;
        return;
      }
      const { x, y, scale } = placed({ width: frame.clientWidth, height: frame.clientHeight }, shown);
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
  }, [player, box, pointer, part]);
}

function holds({ x, y, width, height }: Part, place: { x: number; y: number }): boolean {
  return place.x >= x && place.y >= y && place.x < x + width && place.y < y + height;
}
