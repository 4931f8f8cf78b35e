import { describe, expect, it } from 'vitest';
import type { BackupFacts, BackupId, BackupRecord } from '../../../catalog/catalog.ts';
import type { Lsn, SystemIdentifier, TimelineId } from '../../../src/postgres/lsn.ts';
import { chainOf, wholeChains, withParents } from '../../../src/repository/backup-chain.ts';
import { backupStart, FACTS } from '../../support/catalog-rows.ts';

type Complete = BackupRecord & { readonly facts: BackupFacts };

function row(id: string, at: number, parent?: string, facts: Partial<BackupFacts> = {}): Complete {
  const start = { startLsn: BigInt(at) as Lsn, stopLsn: BigInt(at + 5) as Lsn };
  return {
    ...backupStart({ id: id as BackupId }),
    state: 'complete',
    error: undefined,
    facts: { ...FACTS, ...start, parent: parent as BackupId | undefined, ...facts },
  };
}

const ids = (rows: readonly { readonly id: string }[]): readonly string[] => rows.map(({ id }) => id);

describe('wholeChains', () => {
  it('takes full backups, and incremental ones that lead down to a full one', () => {
    const rows = [row('1F', 10), row('2I', 20, '1F'), row('3I', 30, '2I'), row('5I', 50, '4I'), row('6I', 60, '5I')];
    const { whole, broken } = wholeChains(rows);
    expect(ids(whole)).toEqual(['1F', '2I', '3I']);
    expect(broken).toEqual([
      { id: '5I', missing: '4I' },
      { id: '6I', missing: '4I' },
    ]);
  });

  it('takes none for a parent that cannot be it', () => {
    const other = { ...FACTS.identity, systemIdentifier: '8' as SystemIdentifier };
    for (const parent of [
      row('1F', 16),
      row('1F', 10, undefined, { identity: other }),
      row('1F', 10, undefined, { timeline: 4 as TimelineId }),
    ]) {
      expect(wholeChains([parent, row('2I', 20, '1F')]).broken).toEqual([{ id: '2I', missing: '1F' }]);
    }
  });

  it('comes to an end where records form a circle', () => {
    const rows = [row('1I', 10, '2I'), row('2I', 20, '1I')];
    expect(ids(wholeChains(rows).whole)).toEqual([]);
    expect(ids(chainOf(rows[1]!, rows))).toEqual(['2I', '1I']);
  });

  it('costs what it should with a chain of thousands', () => {
    const rows = Array.from({ length: 5000 }, (_, at) => row(`${at}`, at * 10, at === 0 ? undefined : `${at - 1}`));
    expect(wholeChains(rows.toReversed()).whole).toHaveLength(5000);
    expect(chainOf(rows.at(-1)!, rows)).toHaveLength(5000);
  });
});

describe('withParents', () => {
  it('adds what is built on, before what builds on it, once each', () => {
    const all = [row('1F', 10), row('2I', 20, '1F'), row('3I', 30, '2I'), row('4F', 40), row('5I', 50, '4F')];
    const of = ({ id, facts }: Complete): { id: BackupId; parent: BackupId | undefined } => ({
      id,
      parent: facts.parent,
    });
    expect(ids(withParents(all, [all[2]!, all[4]!], of))).toEqual(['1F', '2I', '3I', '4F', '5I']);
    expect(ids(withParents(all, all.toReversed(), of))).toEqual(['4F', '5I', '1F', '2I', '3I']);
    expect(ids(withParents(all.slice(1), [all[1]!], of))).toEqual(['2I']);
  });
});
