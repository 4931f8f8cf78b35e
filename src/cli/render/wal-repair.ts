import type { WalRepairDocument } from '../../service/wal-repair-api.ts';
import { renderTable } from './table.ts';
import { count } from './units.ts';

type Repaired = WalRepairDocument['repaired'][number];

export function renderWalRepair(result: WalRepairDocument, columns: number): string {
  const { cluster, dryRun, nodes, repaired, files, tails, leftBehind, differing, missing } = result;
  const has = dryRun ? 'would be fetched' : 'was fetched';
  const nothing = repaired.length + files.length + tails.length === 0;
  return [
    ...(nothing ? [missing.length === 0 ? `no WAL of cluster ${cluster} is missing` : `nothing ${has}`] : []),
    ...(repaired.length === 0 ? [] : [renderRepaired(repaired, columns)]),
    ...files.map(({ name, from }) => `${name} ${has} from ${from}`),
    ...tails.map(
      ({ segment, end, from, behindFork }) =>
        `the last segment of ${from}, ${segment}, ${dryRun ? 'would be' : 'is'} stored${end === null ? '' : ` up to ${end}`}${behindFork ? ', behind the fork' : ''}`,
    ),
    ...leftBehind.flatMap(({ segment, node, reason }) => [`NOT STORED: ${segment} of ${node}`, `  ${reason}`]),
    ...differing.flatMap(({ name, from, message }) => [`DIFFERS: ${name} of ${from}`, `  ${message}`]),
    ...missing.flatMap(({ first, last, segments, reasons }) => [
      `MISSING: ${first === last ? first : `${first} to ${last}, ${count(segments, 'segment')}`}`,
      ...reasons.map(({ node, reason }) => `  ${node}: ${reason}`),
      ...(reasons.length === 0 ? ['  no node could be asked'] : []),
    ]),
    ...nodes.flatMap(({ name, error }) => (error === null ? [] : [`NOT ASKED: ${name}: ${error.message}`])),
  ].join('\n');
}

function renderRepaired(repaired: readonly Repaired[], columns: number): string {
  return renderTable<Repaired>(
    [
      { heading: 'FIRST', cell: ({ first }) => first },
      { heading: 'LAST', cell: ({ last }) => last },
      { heading: 'SEGMENTS', right: true, cell: ({ segments }) => segments.toLocaleString('en-US') },
      { heading: 'FROM', cell: ({ from }) => from },
      { heading: '', cell: ({ behindFork }) => (behindFork ? 'behind the fork' : '') },
    ],
    repaired,
    columns,
  );
}
