/** A rectangle of the picture, in its pixels. */
export interface Part {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Monitor extends Part {
  name: string;
}

/**
 * The monitors as far as they lie within the picture; none when there are fewer than two to choose from. Sorted from left to right and
 * from the top down, as they stand on the desk.
 */
export function monitorsIn(
  monitors: readonly Monitor[] | undefined,
  picture: { width: number; height: number },
): Monitor[] {
  const inside = (monitors ?? []).flatMap(({ name, x, y, width, height }) => {
    const [left, top] = [Math.max(0, x), Math.max(0, y)];
    const [right, bottom] = [Math.min(picture.width, x + width), Math.min(picture.height, y + height)];
    return left < right && top < bottom
      ? [{ name, x: left, y: top, width: right - left, height: bottom - top }]
      : [];
  });
  inside.sort((a, b) => a.x - b.x || a.y - b.y);
  return inside.length > 1 ? inside : [];
}

/** The next to look at: from all to the first, and after the last to all again (undefined). */
export function nextMonitor(monitors: readonly Monitor[], shown: string | undefined): string | undefined {
  const at = monitors.findIndex((monitor) => monitor.name === shown);
  return monitors[at + 1]?.name;
}
