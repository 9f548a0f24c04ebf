/** What the console answered instead of what was asked for: a problem document, or no answer at all. */
export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 when there was no answer. */
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    /** The problem's type, the last part of its address. */
    readonly kind: string,
    /** Identifier under which the console's log holds the error. */
    readonly id: string | undefined,
    /** When to ask again, seconds. */
    readonly retryAfter: number | undefined,
  ) {
    super(detail || title);
  }

  /** The console itself did not answer: nothing came, or something in between said so in its place. */
  get away(): boolean {
    return this.status === 0 || (this.status >= 502 && this.status <= 504 && this.kind === "");
  }

  get passing(): boolean {
    return this.status === 0 || this.status >= 500 || this.status === 429;
  }
}

/** Reads a problem document; whatever is missing or of another kind counts as not there. */
export function readProblem(status: number, body: unknown, retryAfter: string | null): ApiError {
  const problem = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const text = (name: string) => (typeof problem[name] === "string" ? problem[name] : "");
  const seconds = Number(retryAfter ?? "");
  return new ApiError(
    status,
    text("title"),
    text("detail"),
    text("type").split(/[/#:]/).at(-1) ?? "",
    text("id") || undefined,
    seconds > 0 ? Math.ceil(seconds) : undefined,
  );
}

export function unreachable(error: unknown): ApiError {
  return new ApiError(
    0,
    "",
    error instanceof Error ? error.message : String(error),
    "",
    undefined,
    undefined,
  );
}

export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : unreachable(error);
}
