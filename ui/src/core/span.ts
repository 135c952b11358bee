/** A window of time, moved and widened. Nanoseconds as text, as the address has them: numbers would lose their last digits. */

export interface Span {
  readonly since: string;
  readonly until: string;
}

/** Half a window earlier (-1) or later (1). */
export function panned(span: Span, by: -1 | 1): Span {
  const [since, until] = [BigInt(span.since), BigInt(span.until)];
  const step = ((until - since) / 2n || 1n) * BigInt(by);
  const moved = since + step < 0n ? -since : step;
  return { since: String(since + moved), until: String(until + moved) };
}

/** Twice as wide around the same middle. */
export function widened(span: Span): Span {
  const [since, until] = [BigInt(span.since), BigInt(span.until)];
  const half = (until - since) / 2n || 1n;
  return { since: String(since > half ? since - half : 0n), until: String(until + half) };
}
