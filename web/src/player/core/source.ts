import type { Trouble } from "./messages";

/** One request for fragments. */
export interface FragmentRequest {
  /** From the key frame at or before this media time. */
  atUs?: number;
  /** Fragments with a greater number than this. */
  afterSeq?: number;
  /** The anchor the decoder holds, which need not be sent again. */
  anchorSeq?: number;
  untilUs?: number;
  maxBytes?: number;
  /** Keep the stream open at the live end. */
  follow?: boolean;
}

/** Opens a stream of fragments. Throws SourceError, or an AbortError when the signal fires. */
export type FragmentSource = (
  request: FragmentRequest,
  signal: AbortSignal,
) => Promise<ReadableStream<Uint8Array>>;

/** A request that was not answered with fragments. */
export class SourceError extends Error {
  constructor(
    readonly trouble: Trouble,
    /** Whether asking again may help. */
    readonly passing: boolean,
    readonly retryAfterMs?: number,
  ) {
    super(trouble.detail);
  }
}

export function fragmentAddress(url: string, request: FragmentRequest): string {
  const query = new URLSearchParams();
  const put = (name: string, value: number | undefined) => {
    if (value !== undefined) query.set(name, String(Math.round(value)));
  };
  put("at", request.atUs);
  put("after", request.afterSeq);
  put("anchor", request.anchorSeq);
  put("until", request.untilUs);
  put("max_bytes", request.maxBytes);
  if (request.follow) query.set("follow", "true");
  return `${url}?${query}`;
}

/** Fragments from the console, by its address for one recording's fragments. */
export function httpSource(url: string, fetcher: typeof fetch): FragmentSource {
  return async (request, signal) => {
    let response: Response;
    try {
      response = await fetcher(fragmentAddress(url, request), {
        signal,
        credentials: "same-origin",
        cache: "no-store",
        headers: { accept: "application/vnd.playhead.fragments, application/problem+json" },
      });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new SourceError({ kind: "connection", detail: errorText(error) }, true);
    }
    if (!response.ok) throw await refusal(response);
    return response.body ?? new Blob().stream();
  };
}

/** The media type of problem documents says which fields stand in them; nothing is taken for granted. */
async function refusal(response: Response): Promise<SourceError> {
  const problem: Record<string, unknown> = await response.json().catch(() => ({}));
  const text = (name: string) =>
    typeof problem?.[name] === "string" ? (problem[name] as string) : undefined;
  const status = response.status;
  const passing = status >= 500 || status === 429 || status === 408;
  const kind = status === 416 || status === 400 ? "outside" : passing ? "connection" : "refused";
  const seconds = Number(response.headers.get("retry-after"));
  return new SourceError(
    {
      kind,
      detail: text("detail") ?? text("title") ?? `the console answered ${status}`,
      httpStatus: status,
      id: text("id"),
    },
    passing,
    seconds > 0 ? Math.min(seconds, 60) * 1000 : undefined,
  );
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
