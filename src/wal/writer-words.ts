import type { ClusterName } from '../../catalog/catalog.ts';
import type { WalNode } from '../../catalog/writers.ts';
import { shellQuoted } from '../config/command-line.ts';
import { type Micros, microsFromDate } from '../postgres/timestamp.ts';
import type { TimelineId } from '../postgres/lsn.ts';
import { nodeText } from './wal-node.ts';

/** An archiver that is refused asks again each minute (PGARCH_AUTOWAKE_INTERVAL); one that is not heard has ended. */
const QUIET_MICROS = 300_000_000;

/** Since when a node must have been refused to be a second writer still. */
export function quietSince(now: Date): Micros {
  return (microsFromDate(now) - QUIET_MICROS) as Micros;
}

/** What to do about a second writer. */
export function stopHint({ host, dataDirectory }: WalNode): string {
  return `stop the server in ${dataDirectory} on ${host}, or set archive_mode = off in it`;
}

/** The same, and what to do where it is the right one, because its data directory was moved. */
export function stopOrAcceptHint(cluster: ClusterName, timeline: TimelineId, { host, dataDirectory }: WalNode): string {
  const text = nodeText({ host, dataDirectory });
  const word = /^[\w@%+:,./-]+$/.test(text) ? text : shellQuoted(text);
  return (
    `${stopHint({ host, dataDirectory })}; ` +
    `only if it is the one that shall write: walden cluster writer ${cluster} --timeline ${timeline} --accept ${word}`
  );
}
