import { type ErrorCode, type ErrorDocument, errorFromDocument, type WaldenError } from '../../errors.ts';
import type { RepositoryCheck } from '../../repository/check-repository.ts';
import type { ClusterUsage } from '../../repository/usage.ts';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import type { ObservedCall, StoreOperation } from '../../../storage-drivers/with-observer.ts';
import { renderTable } from './table.ts';
import { count, formatBytes } from './units.ts';

export interface RepositoryCheckDocument {
  readonly repository: string;
  readonly driver: string;
  readonly steps: readonly {
    readonly name: string;
    readonly milliseconds: number;
    readonly error: ErrorDocument | null;
  }[];
  readonly transfer: NonNullable<RepositoryCheck['transfer']> | null;
  /** Up to which size the store itself keeps an object from being overwritten; null: any. Beyond it, Walden does. */
  readonly createOnlyBytes: number | null;
  readonly maxConcurrency: number;
  readonly uploadMemoryBytes: number;
  readonly canDelete: boolean;
  /** Requests that failed, those that succeeded when they were tried again too. */
  readonly failures: readonly {
    readonly operation: StoreOperation;
    readonly code: ErrorCode;
    readonly count: number;
  }[];
}

export function repositoryCheckDocument(
  repository: string,
  driver: StorageDriver,
  { steps, transfer, canDelete }: RepositoryCheck,
  calls: readonly ObservedCall[],
): RepositoryCheckDocument {
  const { storeCreateOnlyBytes = driver.features.createOnlyBytes, maxConcurrency, uploadMemoryBytes } = driver.features;
  return {
    repository,
    driver: driver.type,
    steps: steps.map(({ name, milliseconds, error }) => ({ name, milliseconds, error: error ?? null })),
    transfer: transfer ?? null,
    createOnlyBytes: storeCreateOnlyBytes === Infinity ? null : storeCreateOnlyBytes,
    maxConcurrency,
    uploadMemoryBytes,
    canDelete,
    failures: failuresAmong(calls),
  };
}

/** What belongs to the check is no failure: a key that is taken, or free. */
const EXPECTED = new Set<ErrorCode>(['STORAGE_OBJECT_EXISTS', 'STORAGE_OBJECT_MISSING']);

function failuresAmong(calls: readonly ObservedCall[]): RepositoryCheckDocument['failures'] {
  const found = new Map<string, { operation: StoreOperation; code: ErrorCode; count: number }>();
  for (const { operation, error } of calls) {
    if (error === undefined || EXPECTED.has(error.code)) continue;
    const { code } = error;
    const failure = found.get(`${operation} ${code}`) ?? { operation, code, count: 0 };
    failure.count += 1;
    found.set(`${operation} ${code}`, failure);
  }
  return [...found.values()];
}

/** Whether it may delete is for the operator to decide: archiving and backups need not. */
export function firstFailure({ steps }: RepositoryCheck): WaldenError | undefined {
  const failed = steps.find(
    ({ name, error }) =>
      error !== undefined &&
      !(name === 'delete' && (error.code === 'STORAGE_DENIED' || error.code === 'STORAGE_LOCKED')),
  );
  return failed?.error === undefined ? undefined : errorFromDocument(failed.error);
}

export function renderRepositoryCheck(check: RepositoryCheckDocument, columns: number): string {
  const table = renderTable(
    [
      { heading: 'STEP', cell: ({ name }) => name },
      { heading: 'OUTCOME', cell: ({ error }) => (error === null ? 'ok' : error.code) },
      { heading: 'MS', right: true, cell: ({ milliseconds }) => milliseconds.toString() },
      { heading: 'WHY', cell: ({ error }) => error?.message ?? '' },
    ],
    check.steps,
    columns,
  );
  const { transfer } = check;
  const rate = (bytes: number): string => `${(bytes / 1_000_000).toFixed(0)} MB/s`;
  return [
    `repository ${check.repository} (${check.driver})`,
    '',
    table,
    '',
    ...(transfer === null
      ? []
      : [
          `transfer of ${formatBytes(transfer.bytes)}: up ${rate(transfer.upPerSecond)}, down ${rate(transfer.downPerSecond)}`,
        ]),
    `write once: ${writeOnceWords(check.createOnlyBytes)}`,
    `delete: ${check.canDelete ? 'allowed' : 'not allowed, so what expires must be removed with another key'}`,
    ...check.failures.map(
      ({ operation, code, count: times }) => `failed, ${operation}: ${count(times, 'time')} (${code})`,
    ),
    `at once: ${check.maxConcurrency} requests, ${formatBytes(check.uploadMemoryBytes)} of memory for uploads`,
  ].join('\n');
}

function writeOnceWords(bytes: number | null): string {
  if (bytes === null) return 'kept by the store';
  if (bytes === 0) return 'kept by Walden with claims: the store has no conditional writes';
  return `kept by the store up to ${formatBytes(bytes)}, by Walden with claims beyond`;
}

export function renderRepositoryUsage(
  { repository, clusters }: { readonly repository: string; readonly clusters: readonly ClusterUsage[] },
  columns: number,
): string {
  if (clusters.length === 0) return `repository ${repository} holds no cluster`;
  const rows = clusters.flatMap(({ cluster, wal, backups, other }) => [
    { cluster, what: 'WAL', ...wal },
    ...backups.map((backup) => ({ cluster, what: `backup ${backup.id}`, ...backup })),
    { cluster, what: 'other', ...other },
  ]);
  return renderTable(
    [
      { heading: 'CLUSTER', cell: ({ cluster }) => cluster },
      { heading: 'WHAT', cell: ({ what }) => what },
      { heading: 'OBJECTS', right: true, cell: ({ objects }) => objects.toLocaleString('en-US') },
      { heading: 'STORED', right: true, cell: ({ bytes }) => formatBytes(bytes) },
    ],
    rows.filter(({ objects }) => objects > 0),
    columns,
  );
}
