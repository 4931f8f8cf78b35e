import { describeRun } from '../render/wal.ts';
import { type Check, failed, ok, valueOf } from './facts.ts';

/** Whether recovery along the newest timeline comes beyond its newest backup, as far as WAL was archived. */
export const checkWal: Check = ({ service, config }) => {
  const status = valueOf(service)?.status;
  if (status === undefined) return [];
  const missing = status.repositories.flatMap((repository) => repository.missing ?? []);
  const measure = {
    label: 'wal_missing',
    value: missing.reduce((sum, { segments }) => sum + segments, 0),
    unit: '',
  } as const;
  if (missing.length === 0) return [ok('wal', 'none is missing behind the newest backup', measure)];
  return missing.map((run, index) =>
    failed(
      'wal',
      `in repository ${run.repository} ${describeRun(run)} missing: nothing later is recovered`,
      `walden wal repair ${config.name}, which fetches it from the nodes that have it`,
      ...(index === 0 ? [measure] : []),
    ),
  );
};
