/** What was seen of a base backup so far. */
export interface LinkView {
  /** Since the first byte. */
  readonly elapsedMs: number;
  /** Of that, for bytes from the server. */
  readonly waitedMs: number;
  /** As they came. */
  readonly bytes: number;
  /** As the server counted before. */
  readonly totalBytes: number;
}

/** After this time it is judged, once. */
const LOOK_AFTER_MS = 4000;
/** Slower than one that compresses at level 1, on any processor of these years. */
const SLOW_BYTES_PER_SECOND = 150_000_000;
/** What is saved must be worth a second checkpoint, and what came already. */
const LEAST_SECONDS_LEFT = 20;

/**
 * Whether a backup would be faster if the server compressed it: undefined as long as that cannot be said. Whoever reads mostly
 * waits for the server, little comes, and much is left. Pure.
 */
export function isLinkSlow({ elapsedMs, waitedMs, bytes, totalBytes }: LinkView): boolean | undefined {
  if (elapsedMs < LOOK_AFTER_MS) return undefined;
  const bytesPerSecond = (bytes / elapsedMs) * 1000;
  const isWaiting = waitedMs > elapsedMs / 2;
  return (
    isWaiting &&
    bytesPerSecond < SLOW_BYTES_PER_SECOND &&
    totalBytes - bytes > LEAST_SECONDS_LEFT * Math.max(bytesPerSecond, 1)
  );
}
