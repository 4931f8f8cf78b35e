import type { WalGapsDocument, WalListDocument } from '../../service/api.ts';
import { renderTable } from './table.ts';
import { count, formatBytes, formatMoment } from './units.ts';

type Range = WalListDocument['ranges'][number];
type Gap = WalGapsDocument['gaps'][number];

export function renderWalList({ cluster, ranges }: WalListDocument, columns: number): string {
  if (ranges.length === 0) return `the archive of cluster ${cluster} holds no segments`;
  return renderTable<Range>(
    [
      { heading: 'TIMELINE', right: true, cell: ({ timeline }) => timeline.toString() },
      { heading: 'FIRST', cell: ({ first }) => first },
      { heading: 'LAST', cell: ({ last }) => last },
      { heading: 'SEGMENTS', right: true, cell: ({ segments }) => segments.toLocaleString('en-US') },
      { heading: 'STORED', right: true, cell: ({ storedBytes }) => formatBytes(storedBytes) },
      { heading: 'FIRST COMMIT', cell: ({ firstCommit }) => (firstCommit === null ? '' : formatMoment(firstCommit)) },
      { heading: 'LAST COMMIT', cell: ({ lastCommit }) => (lastCommit === null ? '' : formatMoment(lastCommit)) },
      { heading: 'REPOSITORY', cell: ({ repository }) => repository },
    ],
    ranges,
    columns,
  );
}

export function renderWalGaps({ cluster, gaps }: WalGapsDocument, columns: number): string {
  if (gaps.length === 0) return `the archive of cluster ${cluster} has no gaps`;
  return renderTable<Gap>(
    [
      { heading: 'TIMELINE', right: true, cell: ({ timeline }) => timeline.toString() },
      { heading: 'FIRST MISSING', cell: ({ first }) => first },
      { heading: 'LAST MISSING', cell: ({ last }) => last },
      { heading: 'SEGMENTS', right: true, cell: ({ segments }) => segments.toLocaleString('en-US') },
      { heading: 'REPOSITORY', cell: ({ repository }) => repository },
    ],
    gaps,
    columns,
  );
}

/** `segment 0…1 is`, `4 segments from 0…1 to 0…4 are`. */
export function describeRun({ first, last, segments }: Pick<Gap, 'first' | 'last' | 'segments'>): string {
  return first === last ? `segment ${first} is` : `${count(segments, 'segment')} from ${first} to ${last} are`;
}
