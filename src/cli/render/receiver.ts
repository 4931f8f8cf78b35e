import type { ReceiverAnswerDocument, ReceiverDocument } from '../../service/api.ts';
import { count, formatAge, formatBytes, formatDuration } from './units.ts';

/** What a command for the receiver did. */
export function renderReceiverAnswer({ cluster, receiver, kept }: ReceiverAnswerDocument, now: Date): string {
  return [`${cluster}:`, ...receiverLines(cluster, receiver, now), ...kept.map((path) => `  put aside: ${path}`)].join(
    '\n',
  );
}

/** How far the receiver is, and what is wrong with it. */
export function receiverLines(cluster: string, receiver: ReceiverDocument, now: Date): string[] {
  const { state, host, slot, timeline, acknowledgedLsn, retainedBytes, waitingFiles, failure, gap } = receiver;
  const from = host === null ? '' : ` from ${host}`;
  const where = timeline === null ? '' : `, timeline ${timeline}`;
  return [
    `  Receiver: ${state}${from}, slot ${slot}${where}`,
    ...orderLines(cluster, receiver, now),
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

/** What somebody said once and may have forgotten. */
function orderLines(cluster: string, { slot, stoppedAt, follows }: ReceiverDocument, now: Date): string[] {
  return [
    ...(stoppedAt === null
      ? []
      : [
          `    STOPPED by an operator ${formatAge(stoppedAt, now)}: no WAL is received, and the slot ${slot} keeps all of it on the server`,
          `      HINT: start it before the disk there is full: walden receiver start ${cluster}`,
        ]),
    ...(follows === null
      ? []
      : [
          `    it was told ${formatAge(follows.since, now)} to follow: ${follows.conninfo}`,
          `      to follow the configuration again: walden cluster follow ${cluster} --configured`,
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
