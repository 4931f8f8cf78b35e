/**
 * Transaction ids compare modulo 2^32 (transam.h), so a set of them is described by an arc of that circle: where it
 * starts and how many ids follow the start.
 */
export interface XidArc {
  readonly start: number;
  /** 0 for a single id, up to 2^32 - 1 for all of them. */
  readonly length: number;
}

const ALL = 0xffff_ffff;

/** The arc that goes up from `first` to `last`. */
export function xidArc(first: number, last: number): XidArc {
  return { start: first, length: distance(first, last) };
}

/** An arc that holds both, beginning with the one that begins earlier in wrap-around order. */
export function joinArcs(a: XidArc, b: XidArc): XidArc {
  const start = distance(a.start, b.start) < 0x8000_0000 ? a.start : b.start;
  const end = (arc: XidArc): number => distance(start, arc.start) + arc.length;
  return { start, length: Math.min(ALL, Math.max(end(a), end(b))) };
}

function distance(from: number, to: number): number {
  return (to - from) >>> 0;
}
