import type { PlayerController } from "./controller";
import type { Part } from "./monitors";

/** Draws what the viewer sees: the picture or a part of it, and the pointer above it. */
export function compose(player: PlayerController, canvas: HTMLCanvasElement, part?: Part): void {
  const { stage, pointer } = player;
  const { x: left, y: top, width, height } = part ?? { x: 0, y: 0, width: stage.width, height: stage.height };
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d", { alpha: false });
  if (!context || stage.width === 0) return;
  context.drawImage(stage, -left, -top);
  if (!pointer?.place.visible || !pointer.shape) return;
  const { shape, place } = pointer;
  const arrow = document.createElement("canvas");
  arrow.width = shape.width;
  arrow.height = shape.height;
  arrow.getContext("2d")?.putImageData(new ImageData(shape.rgba, shape.width, shape.height), 0, 0);
  context.drawImage(arrow, place.x - place.hotX - left, place.y - place.hotY - top);
}

/** Saves what is shown as a PNG file. */
export async function saveScreenshot(player: PlayerController, name: string, part?: Part): Promise<void> {
  const canvas = document.createElement("canvas");
  compose(player, canvas, part);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/[^\p{L}\p{N}._-]+/gu, "-")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Shows the picture in a small window above all others, or takes it back. Throws when the browser does not allow it. */
export async function togglePictureInPicture(player: PlayerController): Promise<void> {
  if (document.pictureInPictureElement) {
    await document.exitPictureInPicture();
    return;
  }
  const canvas = document.createElement("canvas");
  compose(player, canvas);
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = canvas.captureStream();
  let pictures = -1;
  const unsubscribe = player.subscribe(() => {
    if (player.snapshot.pictures === pictures) return;
    pictures = player.snapshot.pictures;
    compose(player, canvas);
  });
  const stop = () => {
    unsubscribe();
    for (const track of (video.srcObject as MediaStream).getTracks()) track.stop();
  };
  video.addEventListener("leavepictureinpicture", stop, { once: true });
  try {
    const playing = video.play();
    // The stream takes its first picture from what is painted after it began.
    compose(player, canvas);
    await playing;
    await video.requestPictureInPicture();
    video.addEventListener("pause", () => player.send({ type: "pause" }));
    video.addEventListener("play", () => player.send({ type: "play" }));
  } catch (error) {
    stop();
    throw error;
  }
}
