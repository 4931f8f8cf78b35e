import type { SecondWriterDocument, TimelineWriterDocument, WriterListDocument } from '../../service/api-writers.ts';
import { renderTable } from './table.ts';
import { count, formatAge, formatMoment } from './units.ts';

/** Who writes each timeline, then who is refused. */
export function renderWriters({ cluster, writers, refused }: WriterListDocument, columns: number, now: Date): string {
  const table =
    writers.length === 0
      ? `of no timeline of cluster ${cluster} it is known who writes it: the next that archives becomes its writer`
      : renderTable<TimelineWriterDocument>(
          [
            { heading: 'TIMELINE', right: true, cell: ({ timeline }) => timeline.toString() },
            { heading: 'WRITER', cell: ({ node }) => placeText(node) },
            { heading: 'SINCE', cell: ({ since }) => formatMoment(since) },
          ],
          writers,
          columns,
        );
  return [table, ...refused.flatMap((second) => secondWriterLines(second, now))].join('\n');
}

export function secondWriterLines(second: SecondWriterDocument, now: Date): string[] {
  const { timeline, node, writer, file, error, firstAt, lastAt, attempts } = second;
  return [
    `  SECOND WRITER on timeline ${timeline}: ${placeText(node)}`,
    `    ${writer === null ? '' : `its writer is ${placeText(writer)}; `}refused: ${file}`,
    `    ${count(attempts, 'attempt')}, first ${formatAge(firstAt, now)}, last ${formatAge(lastAt, now)} (${error.code})`,
    `    HINT: ${error.hint}`,
  ];
}

export function placeText({ host, dataDirectory }: TimelineWriterDocument['node']): string {
  return `${host}:${dataDirectory}`;
}
