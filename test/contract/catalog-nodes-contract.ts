import { describe, expect, it } from 'vitest';
import type { Catalog, ClusterName } from '../../catalog/catalog.ts';
import type { NodeRecord, NodeSighting } from '../../catalog/nodes.ts';
import type { Lsn } from '../../src/postgres/lsn.ts';
import { MAIN, micros, nodeRow, timeline } from '../support/catalog-rows.ts';

const OTHER = 'other' as ClusterName;
const SEEN: NodeSighting = { at: micros(7), role: 'standby', timeline: timeline(3), lsn: (1n << 63n) as Lsn };

/** The part of the contract that is about nodes. */
export function nodesContract(what: string, current: () => Catalog): void {
  const names = async (cluster = MAIN): Promise<readonly string[]> =>
    (await current().nodes.all(cluster)).map(({ name }) => name);

  describe(`${what}: nodes`, () => {
    it('keeps every fact of each, told apart by cluster and name, in the order of names', async () => {
      const { nodes } = current();
      const bare: NodeRecord = {
        ...nodeRow('db2'),
        ...{ dataDirectory: undefined, conninfo: undefined, slot: undefined, origin: 'operator' },
      };
      for (const node of [bare, nodeRow('db1', { seen: SEEN }), nodeRow('db1', { cluster: OTHER })]) {
        await nodes.record(node);
      }
      expect(await nodes.all(MAIN)).toEqual([nodeRow('db1', { seen: SEEN }), bare]);
      expect(await nodes.all(OTHER)).toEqual([nodeRow('db1', { cluster: OTHER })]);
    });

    it('has the last word of a name hold', async () => {
      const { nodes } = current();
      await nodes.record(nodeRow('db1', { seen: SEEN }));
      await nodes.record(nodeRow('db1', { host: 'elsewhere', origin: 'restore' }));
      expect(await nodes.all(MAIN)).toEqual([nodeRow('db1', { host: 'elsewhere', origin: 'restore' })]);
    });

    it('keeps what was seen last, and nothing of nodes that are not known', async () => {
      const { nodes } = current();
      await nodes.record(nodeRow('db1'));
      await nodes.record(nodeRow('db2', { seen: SEEN }));
      const primary: NodeSighting = { at: micros(9), role: 'primary', timeline: undefined, lsn: undefined };
      const seen = new Map([
        ['db1', SEEN],
        ['db2', primary],
        ['db3', SEEN],
      ]);
      await nodes.recordSeen(MAIN, seen);
      expect(await nodes.all(MAIN)).toEqual([nodeRow('db1', { seen: SEEN }), nodeRow('db2', { seen: primary })]);
    });

    it('forgets one, and says whether it was there', async () => {
      const { nodes } = current();
      for (const node of [nodeRow('db1'), nodeRow('db2'), nodeRow('db1', { cluster: OTHER })]) await nodes.record(node);
      expect(await nodes.forget(MAIN, 'db1')).toBe(true);
      expect(await nodes.forget(MAIN, 'db1')).toBe(false);
      expect(await names()).toEqual(['db2']);
      expect(await names(OTHER)).toEqual(['db1']);
    });
  });
}
