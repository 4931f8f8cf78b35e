import type { Catalog, ClusterName } from '../../../catalog/catalog.ts';
import type { SecondWriter, TimelineWriter } from '../../../catalog/writers.ts';
import { formatMicros } from '../../postgres/timestamp.ts';
import { quietSince } from '../../wal/writer-words.ts';
import type { SecondWriterDocument, TimelineWriterDocument, WriterListDocument } from '../api-writers.ts';

/** Who writes each timeline, and who is refused now. */
export async function writerList(catalog: Catalog, cluster: ClusterName, now: Date): Promise<WriterListDocument> {
  const writers = await catalog.writers.writers(cluster);
  const refused = await catalog.writers.secondWriters(cluster, quietSince(now));
  return {
    cluster,
    writers: writers.map(writerDocument),
    refused: refused.map((second) => secondWriterDocument(second, writers)),
  };
}

function writerDocument({ timeline, node, since }: TimelineWriter): TimelineWriterDocument {
  return { timeline, node: { ...node }, since: formatMicros(since) };
}

function secondWriterDocument(
  { timeline, node, file, error, firstAt, lastAt, attempts }: SecondWriter,
  writers: readonly TimelineWriter[],
): SecondWriterDocument {
  const writer = writers.find((one) => one.timeline === timeline)?.node;
  return {
    ...{ timeline, node: { ...node }, writer: writer === undefined ? null : { ...writer }, file, error: { ...error } },
    ...{ firstAt: formatMicros(firstAt), lastAt: formatMicros(lastAt), attempts },
  };
}
