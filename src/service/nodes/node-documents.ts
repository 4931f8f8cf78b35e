import { hostname } from 'node:os';
import { errorToDocument, WaldenError } from '../../errors.ts';
import { hostsOf } from '../../postgres/conninfo.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { formatMicros } from '../../postgres/timestamp.ts';
import type { NodeSlot, NodeView, SenderView } from '../../setup/node-view.ts';
import type { NodeDocument } from '../api-nodes.ts';
import type { AskedNode } from './ask-nodes.ts';
import type { KnownNode } from './known-nodes.ts';
import { type Candidate, unknownSenders } from './match-senders.ts';
import { restoreSource } from './restore-source.ts';

/** What the documents of a cluster's nodes are made with besides their answers. */
export interface DocumentContext {
  /** Configuration of walden-fetch on this host. */
  readonly scriptConfigPath: string;
}

interface Answer {
  readonly known: KnownNode;
  readonly view: NodeView;
  readonly isOrdered: boolean;
  /** The first node of the list that is the same server. */
  readonly sameAs: string | undefined;
}

/** The nodes that were asked, and behind them those that only an upstream knows. */
export function nodeDocuments(all: readonly AskedNode[], context: DocumentContext): readonly NodeDocument[] {
  const answers = answersOf(all);
  const servers = [...answers.values()].filter(({ sameAs }) => sameAs === undefined);
  const documents = all.map(({ known, asked }): NodeDocument => {
    const answer = answers.get(known.record.name);
    if (answer !== undefined) return answered(answer, servers, context);
    const base = unanswered(known, servers);
    if (asked.kind === 'answered') throw new WaldenError('INTERNAL', `node ${known.record.name} answered, and is lost`);
    if (asked.kind === 'foreign')
      return { ...base, state: 'of another cluster', failure: errorToDocument(asked.error) };
    if (asked.kind === 'unreachable') return { ...base, failure: errorToDocument(asked.error) };
    const { state, timeline, checkpoint, majorVersion } = asked.control;
    return { ...base, role: 'not running', state, timeline, lsn: formatLsn(checkpoint), majorVersion };
  });
  const candidates = all.map(({ known }) => candidateOf(known, answers.get(known.record.name)));
  return [...documents, ...servers.flatMap((server) => unregistered(server, candidates))];
}

function answersOf(all: readonly AskedNode[]): ReadonlyMap<string, Answer> {
  const answers = new Map<string, Answer>();
  const first = new Map<string, string>();
  for (const { known, asked } of all) {
    if (asked.kind !== 'answered') continue;
    const { view, isOrdered } = asked;
    const { name } = known.record;
    const run = `${view.startedSeconds} ${view.port}`;
    answers.set(name, { known, view, isOrdered, sameAs: first.get(run) });
    if (!first.has(run)) first.set(run, name);
  }
  return answers;
}

function unanswered({ record }: KnownNode, servers: readonly Answer[]): NodeDocument {
  const { name, origin, registeredAt, host, dataDirectory, conninfo, slot, seen } = record;
  return {
    ...{ name, origin, host, registeredAt: formatMicros(registeredAt) },
    dataDirectory: dataDirectory ?? null,
    conninfo: conninfo ?? null,
    ...{ role: 'unknown', state: 'unreachable', failure: null, sameAs: null, majorVersion: null, timeline: null },
    ...{ lsn: null, upstream: null, lagBytes: null, lagSeconds: null, delaySeconds: null },
    slot: slot ?? null,
    ...slotFacts(slot, servers),
    fetches: { streamingFrom: null, restoreCommand: null },
    notes: [],
    seen:
      seen === undefined
        ? null
        : {
            at: formatMicros(seen.at),
            role: seen.role,
            timeline: seen.timeline ?? null,
            lsn: seen.lsn === undefined ? null : formatLsn(seen.lsn),
          },
  };
}

function answered(answer: Answer, servers: readonly Answer[], context: DocumentContext): NodeDocument {
  const { known, view, sameAs } = answer;
  const { position, settings, receiver } = view;
  const { inRecovery, timeline, lsn } = position;
  const own = known.record.host === hostname() ? context.scriptConfigPath : undefined;
  const slot = inRecovery ? slotOf(answer) : undefined;
  const { restoreCommand } = settings;
  return {
    ...unanswered(known, servers),
    role: inRecovery ? 'standby' : 'primary',
    state: stateOf(view),
    sameAs: sameAs ?? null,
    majorVersion: Math.floor(view.version / 10_000),
    timeline: timeline ?? null,
    lsn: lsn === undefined ? null : formatLsn(lsn),
    upstream: inRecovery ? upstreamOf(view) : null,
    ...(inRecovery ? lagOf(answer, servers) : {}),
    delaySeconds: inRecovery ? settings.applyDelaySeconds : null,
    slot: slot ?? null,
    ...slotFacts(slot, servers),
    fetches: {
      streamingFrom: receiver?.host === undefined ? null : placeOf(receiver.host, receiver.port),
      restoreCommand: restoreCommand === undefined ? null : restoreSource(restoreCommand, own),
    },
    notes: [...notesOf(view), ...view.refused],
  };
}

function stateOf({ position, receiver }: NodeView): string {
  if (!position.inRecovery) return 'running';
  if (position.isPaused) return 'replay paused';
  if (receiver === undefined) return 'replaying the archive';
  return receiver.status ?? 'receiving';
}

function upstreamOf({ receiver, settings: { primaryConninfo } }: NodeView): string | null {
  if (receiver?.host !== undefined) return placeOf(receiver.host, receiver.port);
  if (primaryConninfo === undefined || primaryConninfo === '') return null;
  try {
    return hostsOf(primaryConninfo)
      .map(({ host, port }) => placeOf(host ?? 'localhost', port))
      .join(',');
  } catch {
    // What only libpq understands; the text may hold a password, and is not shown.
    return null;
  }
}

function placeOf(host: string, port: number | undefined): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port ?? 5432}`;
}

/** Behind the primary of its own timeline, else of the newest. */
function lagOf({ view, isOrdered }: Answer, servers: readonly Answer[]): Pick<NodeDocument, 'lagBytes' | 'lagSeconds'> {
  const { timeline, lsn, lastCommitSecondsAgo } = view.position;
  const primaries = servers.map((server) => server.view.position).filter(({ inRecovery }) => !inRecovery);
  const newest = primaries.toSorted((one, other) => (other.timeline ?? 0) - (one.timeline ?? 0))[0];
  const primary = primaries.find((one) => one.timeline === timeline) ?? newest;
  if (primary?.lsn === undefined || lsn === undefined) return { lagBytes: null, lagSeconds: null };
  const lagBytes = primary.lsn > lsn ? Number(primary.lsn - lsn) : 0;
  if (lagBytes === 0) return { lagBytes, lagSeconds: 0 };
  return { lagBytes, lagSeconds: isOrdered ? (lastCommitSecondsAgo ?? null) : null };
}

function slotOf({ known, view }: Pick<Answer, 'known' | 'view'>): string | undefined {
  const configured = view.settings.primarySlotName;
  return (
    view.receiver?.slot ?? (configured === undefined ? known.record.slot : configured === '' ? undefined : configured)
  );
}

/** Of the server that has the slot, the one where it is in use before others. */
function slotFacts(
  name: string | undefined,
  servers: readonly Answer[],
): Pick<NodeDocument, 'slotRetainedBytes' | 'slotStatus'> {
  const found: readonly NodeSlot[] = servers.flatMap(({ view }) => view.slots.filter((slot) => slot.name === name));
  const slot = found.find(({ active }) => active) ?? found[0];
  if (slot === undefined) return { slotRetainedBytes: null, slotStatus: null };
  return { slotRetainedBytes: slot.retainedBytes, slotStatus: slot.walStatus ?? null };
}

function notesOf({ role, readsStatistics, readsSettings, position: { inRecovery } }: NodeView): readonly string[] {
  const hidden = [
    ...(readsStatistics ? [] : [inRecovery ? 'whom it streams from' : 'who streams from it']),
    ...(readsSettings || !inRecovery ? [] : ['its primary_conninfo']),
  ];
  if (hidden.length === 0) return [];
  return [`role ${role} is not shown ${hidden.join(' and ')}: grant pg_monitor to ${role}`];
}

function candidateOf({ record }: KnownNode, answer: Answer | undefined): Candidate {
  const slot = answer === undefined ? record.slot : slotOf(answer);
  return { host: record.host, slots: slot === undefined ? [] : [slot], view: answer?.view };
}

function unregistered({ known, view }: Answer, candidates: readonly Candidate[]): readonly NodeDocument[] {
  const { name, host } = known.record;
  return unknownSenders(view.senders, candidates).map((sender) => senderDocument(sender, { name, host }, view));
}

function senderDocument(
  sender: SenderView,
  upstream: { readonly name: string; readonly host: string },
  { slots }: NodeView,
): NodeDocument {
  const { applicationName, address, slot, state, replayed, lagBytes, lagSeconds } = sender;
  const kept = slots.find(({ name }) => name === slot);
  return {
    name: address === undefined ? applicationName : `${applicationName}@${address}`,
    ...{ origin: 'unregistered', registeredAt: null, dataDirectory: null, conninfo: null, failure: null, sameAs: null },
    // Over a socket: on the host of its upstream.
    host: address ?? upstream.host,
    ...{
      role: 'standby',
      state,
      majorVersion: null,
      timeline: null,
      upstream: upstream.name,
      lagBytes,
      delaySeconds: null,
      notes: [],
      seen: null,
    },
    lsn: formatLsn(replayed),
    lagSeconds: lagBytes === 0 ? 0 : (lagSeconds ?? null),
    slot: slot ?? null,
    slotRetainedBytes: kept?.retainedBytes ?? null,
    slotStatus: kept?.walStatus ?? null,
    fetches: { streamingFrom: upstream.name, restoreCommand: null },
  };
}
