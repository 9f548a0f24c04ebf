import { expect, it } from "vitest";
import { browserName } from "./browser";

it("names browsers and systems, and keeps a word of what it does not know", () => {
  const chrome =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
  expect(browserName(chrome)).toBe("Chromium 156 on Linux");
  expect(browserName(`${chrome} Edg/155.0`)).toBe("Edge 155 on Linux");
  expect(
    browserName("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0"),
  ).toBe("Firefox 153 on Windows");
  expect(
    browserName("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1 Version/18.1 Safari/605.1"),
  ).toBe("Safari 18 on macOS");
  expect(browserName("python-requests/2.32 (x)")).toBe("python-requests/2.32");
  expect(browserName("")).toBe("");
});
