import type { ReceiverAnswerDocument, ReceiverDocument } from '../../service/api.ts';
import { count, formatAge, formatBytes, formatDuration } from './units.ts';

/** What a command for the receiver did. */
export function renderReceiverAnswer({ cluster, receiver, kept }: ReceiverAnswerDocument, now: Date): string {
  return [`${cluster}:`, ...receiverLines(receiver, now), ...kept.map((path) => `  put aside: ${path}`)].join('\n');
}

/** How far the receiver is, and what is wrong with it. */
export function receiverLines(receiver: ReceiverDocument, now: Date): string[] {
  const { state, host, slot, timeline, acknowledgedLsn, retainedBytes, waitingFiles, failure, gap } = receiver;
  const from = host === null ? '' : ` from ${host}`;
  const where = timeline === null ? '' : `, timeline ${timeline}`;
  return [
    `  Receiver: ${state}${from}, slot ${slot}${where}`,
    ...positionLines(receiver),
    ...(acknowledgedLsn === null
      ? []
      : [`    acknowledged ${acknowledgedLsn}: the slot keeps ${formatBytes(retainedBytes ?? 0)} on the server`]),
    ...(waitingFiles === 0 ? [] : [`    ${count(waitingFiles, 'received file')} on the way into the repositories`]),
    ...(failure === null
      ? []
      : [
          `    TROUBLE, first noticed ${formatAge(failure.since, now)}: ${failure.error.message} (${failure.error.code})`,
          `      HINT: ${failure.error.hint}`,
        ]),
    ...(gap === null
      ? []
      : [
          `    LOST: WAL from ${gap.first} to ${gap.last}, noticed ${formatAge(gap.noticedAt, now)}`,
          '      HINT: take a backup; nothing can be restored across this hole',
        ]),
  ];
}

function positionLines({ receivedLsn, flushedLsn, lagBytes, lagSeconds }: ReceiverDocument): string[] {
  if (receivedLsn === null || flushedLsn === null) return [];
  const since = lagSeconds === null ? '' : ` for ${formatDuration(lagSeconds)}`;
  const lag =
    lagBytes === null ? '' : lagBytes === 0 ? ', behind by nothing' : `, ${formatBytes(lagBytes)} behind${since}`;
  return [`    received ${receivedLsn}, in the spool ${flushedLsn}${lag}`];
}
