import { describe, expect, it } from 'vitest';
import type { Catalog, ClusterName } from '../../catalog/catalog.ts';
import type { TimelineWriter, WalNode } from '../../catalog/writers.ts';
import { errorToDocument, WaldenError } from '../../src/errors.ts';
import type { WalFileName } from '../../src/postgres/wal-name.ts';
import { MAIN, micros, timeline } from '../support/catalog-rows.ts';

const ONE: WalNode = { host: 'db1', dataDirectory: '/var/lib/postgresql/17/main' };
const OTHER: WalNode = { host: 'db1', dataDirectory: "/a copy/o'f %0A it" };
const FILE = '000000010000000000000007' as WalFileName;
const NEXT = '000000010000000000000008' as WalFileName;
const REFUSED = errorToDocument(new WaldenError('SECOND_WRITER', 'written by another'));

function writer(facts: Partial<TimelineWriter> = {}): TimelineWriter {
  return { cluster: MAIN, timeline: timeline(1), node: ONE, since: micros(1), ...facts };
}

function attempt(
  at: number,
  facts: { readonly node?: WalNode; readonly file?: WalFileName; cluster?: ClusterName } = {},
) {
  return { cluster: MAIN, timeline: timeline(1), node: OTHER, file: FILE, error: REFUSED, at: micros(at), ...facts };
}

/** The part of the contract that is about who writes the timelines. */
export function writersContract(what: string, current: () => Catalog): void {
  describe(`${what}: claim`, () => {
    it('gives a timeline to the first, and tells the others who that is', async () => {
      const { writers } = current();
      expect(await writers.writer(MAIN, timeline(1))).toBeUndefined();
      expect(await writers.claim(writer())).toEqual(writer());
      expect(await writers.claim(writer({ node: OTHER, since: micros(2) }))).toEqual(writer());
      expect(await writers.claim(writer({ since: micros(3) }))).toEqual(writer());
      const claims = [ONE, OTHER].map((node) => writers.claim(writer({ timeline: timeline(2), node })));
      const [first, second] = await Promise.all(claims);
      expect(first).toEqual(second);
    });

    it('tells timelines and clusters apart', async () => {
      const { writers } = current();
      const elsewhere = writer({ cluster: 'other' as ClusterName, node: OTHER });
      await writers.claim(writer({ timeline: timeline(0xffff_ffff), node: OTHER }));
      await writers.claim(writer());
      await writers.claim(elsewhere);
      expect(await writers.writers(MAIN)).toEqual([writer(), writer({ timeline: timeline(0xffff_ffff), node: OTHER })]);
      expect(await writers.writer(elsewhere.cluster, timeline(1))).toEqual(elsewhere);
    });
  });

  describe(`${what}: take`, () => {
    it('takes a timeline from whoever had it, and ends that the new one is refused', async () => {
      const { writers } = current();
      await writers.claim(writer());
      await writers.recordRefused(attempt(2));
      await writers.take(writer({ node: OTHER, since: micros(3) }));
      expect(await writers.writers(MAIN)).toEqual([writer({ node: OTHER, since: micros(3) })]);
      expect(await writers.secondWriters(MAIN, micros(0))).toEqual([]);
    });
  });

  describe(`${what}: recordRefused`, () => {
    it('keeps one row for a node and a timeline, with the last file and error', async () => {
      const { writers } = current();
      await writers.recordRefused(attempt(1));
      await writers.recordRefused(attempt(5, { file: NEXT }));
      await writers.recordRefused(attempt(6, { node: ONE }));
      await writers.recordRefused(attempt(7, { cluster: 'other' as ClusterName }));
      const common = { cluster: MAIN, timeline: timeline(1), error: REFUSED };
      expect(await writers.secondWriters(MAIN, micros(0))).toEqual([
        { ...common, node: OTHER, file: NEXT, firstAt: micros(1), lastAt: micros(5), attempts: 2 },
        { ...common, node: ONE, file: FILE, firstAt: micros(6), lastAt: micros(6), attempts: 1 },
      ]);
      expect(await writers.secondWriters(MAIN, micros(6))).toMatchObject([{ node: ONE }]);
    });

    it('is forgotten when it is over, by name or by time', async () => {
      const { writers } = current();
      await writers.recordRefused(attempt(1));
      await writers.recordRefused(attempt(5, { node: ONE }));
      await writers.forgetQuiet(MAIN, micros(5));
      expect(await writers.secondWriters(MAIN, micros(0))).toMatchObject([{ node: ONE }]);
      expect(await writers.forgetRefused(MAIN, timeline(2), ONE)).toBe(false);
      expect(await writers.forgetRefused(MAIN, timeline(1), ONE)).toBe(true);
      expect(await writers.secondWriters(MAIN, micros(0))).toEqual([]);
    });
  });
}
