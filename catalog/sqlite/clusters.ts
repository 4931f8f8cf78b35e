import type { ClusterIdentity, ClusterName } from '../catalog.ts';
import { WaldenError } from '../../src/errors.ts';
import type { SystemIdentifier } from '../../src/postgres/lsn.ts';
import type { SegmentBytes } from '../../src/postgres/wal-name.ts';
import type { CatalogDatabase } from './database.ts';
import type { Integer } from './rows.ts';

export interface IdentityRow {
  readonly system_identifier: string;
  readonly major_version: Integer;
  readonly segment_bytes: Integer;
}

export function identityOf(row: IdentityRow): ClusterIdentity {
  return {
    systemIdentifier: row.system_identifier as SystemIdentifier,
    majorVersion: Number(row.major_version),
    segmentBytes: Number(row.segment_bytes) as SegmentBytes,
  };
}

export class ClusterTable {
  readonly #find;
  readonly #insert;
  readonly #names;

  constructor(database: CatalogDatabase) {
    this.#find = database.prepare<[string], IdentityRow>(
      'SELECT system_identifier, major_version, segment_bytes FROM cluster WHERE name = ?',
    );
    this.#insert = database.prepare<[string, string, number, number]>(
      'INSERT INTO cluster (name, system_identifier, major_version, segment_bytes) VALUES (?, ?, ?, ?)',
    );
    this.#names = database.prepare<[], string>('SELECT name FROM cluster ORDER BY name').pluck();
  }

  register(name: ClusterName, identity: ClusterIdentity): 'registered' | 'known' {
    const known = this.identity(name);
    if (known === undefined) {
      this.#insert.run(name, identity.systemIdentifier, identity.majorVersion, identity.segmentBytes);
      return 'registered';
    }
    assertSameIdentity(name, known, identity);
    return 'known';
  }

  identity(name: ClusterName): ClusterIdentity | undefined {
    const row = this.#find.get(name);
    return row === undefined ? undefined : identityOf(row);
  }

  names(): readonly ClusterName[] {
    return this.#names.all() as ClusterName[];
  }
}

function assertSameIdentity(name: ClusterName, known: ClusterIdentity, found: ClusterIdentity): void {
  const facts: readonly (readonly [string, string | number, string | number])[] = [
    ['system identifier', known.systemIdentifier, found.systemIdentifier],
    ['major version', known.majorVersion, found.majorVersion],
    ['segment size', known.segmentBytes, found.segmentBytes],
  ];
  const other = facts.find(([, before, now]) => before !== now);
  if (other === undefined) return;
  const [fact, before, now] = other;
  throw new WaldenError(
    'SERVER_MISMATCH',
    `cannot register cluster ${name}: its ${fact} is ${now}, the catalog knows ${before}`,
    { details: { cluster: name, known, found } },
  );
}
