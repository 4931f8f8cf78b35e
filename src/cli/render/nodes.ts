import type {
  ClusterNodesDocument,
  NodeAnswerDocument,
  NodeDocument,
  NodeListDocument,
} from '../../service/api-nodes.ts';
import { type Column, renderTable } from './table.ts';
import { formatAge, formatBytes, formatDuration } from './units.ts';

export interface NodeView {
  readonly now: Date;
  readonly columns: number;
  /** Makes a text stand out, where that can be shown. */
  readonly alarm: (text: string) => string;
}

/** A table for each cluster; below it why nodes do not answer, what was not shown, and what cannot be right. */
export function renderNodes({ clusters }: NodeListDocument, view: NodeView): string {
  if (clusters.length === 0) return 'no clusters';
  const isNamed = clusters.length > 1;
  return clusters.map((cluster) => clusterLines(cluster, view, isNamed).join('\n')).join('\n\n');
}

/** What became of a node that was added or forgotten. */
export function renderNodeAnswer({ cluster, name, notes }: NodeAnswerDocument, done: 'added' | 'forgotten'): string {
  return [`node ${name} of cluster ${cluster}: ${done}`, ...notes.map((note) => `  note: ${note}`)].join('\n');
}

function clusterLines({ cluster, nodes, warnings }: ClusterNodesDocument, view: NodeView, isNamed: boolean): string[] {
  const title = isNamed ? [`${cluster}:`] : [];
  if (nodes.length === 0) return [...title, `no node of cluster ${cluster} is known: walden node add ${cluster}`];
  const notes = nodes.flatMap((node) => notesOf(node).map((note) => `${node.name}: ${note}`));
  return [
    ...title,
    renderTable(columnsOf(view), nodes, view.columns),
    ...notes,
    ...warnings.map((warning) => view.alarm(`WARNING: ${warning}`)),
  ];
}

function columnsOf({ now }: NodeView): readonly Column<NodeDocument>[] {
  return [
    { heading: 'NODE', cell: ({ name }) => name },
    { heading: 'ROLE', cell: ({ role }) => role },
    { heading: 'STATE', cell: stateCell },
    { heading: 'TIMELINE', right: true, cell: ({ timeline }) => timeline?.toString() ?? '' },
    { heading: 'LAG', right: true, cell: lagCell },
    { heading: 'UPSTREAM', cell: ({ upstream }) => upstream ?? '' },
    { heading: 'FETCHES WAL BY', cell: fetchesCell },
    { heading: 'SLOT', cell: slotCell },
    { heading: 'DELAY', right: true, cell: ({ delaySeconds }) => (delaySeconds ? formatDuration(delaySeconds) : '') },
    { heading: 'LSN', cell: ({ lsn }) => lsn ?? '' },
    {
      heading: 'KNOWN BY',
      cell: ({ origin }) => (origin === 'unregistered' ? 'its upstream: NOT REGISTERED' : ORIGINS[origin]),
    },
    {
      heading: 'LAST SEEN',
      cell: ({ role, seen }) =>
        role !== 'unknown' && role !== 'not running'
          ? ''
          : seen === null
            ? 'never'
            : `${formatAge(seen.at, now)} as ${seen.role}`,
    },
  ];
}

const ORIGINS = {
  configured: 'configuration',
  clone: 'walden clone',
  restore: 'walden restore',
  operator: 'walden node add',
} as const;

function stateCell({ role, state, sameAs }: NodeDocument): string {
  if (sameAs !== null) return `the same server as ${sameAs}`;
  // Of a server that was killed its control file says what it was doing then.
  return role === 'not running' && !state.startsWith('shut down') ? `was ${state}` : state;
}

function lagCell({ lagBytes, lagSeconds }: NodeDocument): string {
  if (lagBytes === null) return '';
  if (lagBytes === 0) return 'none';
  return lagSeconds === null ? formatBytes(lagBytes) : `${formatBytes(lagBytes)}, ${formatDuration(lagSeconds)}`;
}

/** Of a server that is in recovery: the others fetch nothing. */
function fetchesCell({ role, upstream, fetches: { streamingFrom, restoreCommand } }: NodeDocument): string {
  if (role !== 'standby') return '';
  const from = streamingFrom === upstream ? '' : ` from ${streamingFrom ?? ''}`;
  const streaming = streamingFrom === null ? [] : [`streaming${from}`];
  if (restoreCommand === null) return streaming.join('');
  const { kind, name } = restoreCommand;
  const words = {
    none: streaming.length === 0 ? 'nothing' : undefined,
    service: name === null ? 'walden-fetch' : `walden-fetch (${name})`,
    repository: `walden wal fetch (${name ?? 'a repository'})`,
    other: `restore_command (${name ?? ''} …)`,
  }[kind];
  return [...streaming, ...(words === undefined ? [] : [words])].join(', else ');
}

function slotCell({ slot, slotRetainedBytes, slotStatus }: NodeDocument): string {
  if (slot === null) return '';
  const kept = slotRetainedBytes === null ? [] : [`keeps ${formatBytes(slotRetainedBytes)}`];
  const facts = [...kept, ...(slotStatus === null || slotStatus === 'reserved' ? [] : [slotStatus])];
  return facts.length === 0 ? slot : `${slot} (${facts.join(', ')})`;
}

function notesOf({ failure, notes }: NodeDocument): readonly string[] {
  return failure === null ? notes : [`${failure.message} (${failure.code})`, ...notes];
}
