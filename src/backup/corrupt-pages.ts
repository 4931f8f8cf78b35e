import type { CorruptPages } from '../../catalog/catalog.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { BadPage } from './pack-input.ts';

/**
 * Which of the pages with a wrong checksum are corrupt. One that says it was changed between the start and the stop of the
 * backup was in flux, and recovery replaces it; one that claims a later change than the stop cannot be believed. Pure.
 */
export function corruptPages(bad: readonly BadPage[], stop: Lsn): CorruptPages[] {
  const blocks = new Map<string, number[]>();
  for (const { path, block, lsn } of bad) {
    if (lsn !== undefined && lsn <= stop) continue;
    const known = blocks.get(path) ?? [];
    known.push(block);
    blocks.set(path, known);
  }
  return [...blocks]
    .map(([path, found]) => ({ path, blocks: found.sort((a, b) => a - b) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
