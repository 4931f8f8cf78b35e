/** A part of a stored backup that is wanted. */
export interface StoredPart {
  readonly pack: number;
  readonly offset: number;
  readonly storedBytes: number;
}

/** Parts that one ranged read fetches. */
export interface Span<Part> {
  readonly pack: number;
  readonly offset: number;
  /** With what lies between the parts. */
  readonly storedBytes: number;
  readonly parts: readonly (Part & { readonly before: number })[];
}

export interface SpanLimits {
  readonly storedBytes: number;
  readonly parts: number;
  /** Of what is read for nothing between two parts. */
  readonly gapBytes: number;
}

export const SPAN_LIMITS: SpanLimits = { storedBytes: 32 * 1024 * 1024, parts: 2000, gapBytes: 256 * 1024 };

/** Puts parts that lie near each other into one read; `before`: stored bytes between a part and the one before. Pure. */
export function spansOf<Part extends StoredPart>(
  parts: readonly Part[],
  limits: SpanLimits = SPAN_LIMITS,
): readonly Span<Part>[] {
  const spans: { pack: number; offset: number; storedBytes: number; parts: (Part & { before: number })[] }[] = [];
  for (const part of [...parts].sort((a, b) => a.pack - b.pack || a.offset - b.offset)) {
    const span = spans.at(-1);
    const before = span === undefined ? 0 : part.offset - (span.offset + span.storedBytes);
    const joins =
      span !== undefined &&
      part.pack === span.pack &&
      before >= 0 &&
      before <= limits.gapBytes &&
      span.storedBytes + before + part.storedBytes <= limits.storedBytes &&
      span.parts.length < limits.parts;
    if (joins) {
      span.parts.push({ ...part, before });
      span.storedBytes += before + part.storedBytes;
    } else {
      const { pack, offset, storedBytes } = part;
      spans.push({ pack, offset, storedBytes, parts: [{ ...part, before: 0 }] });
    }
  }
  return spans;
}
