import { ERRORS, errorToDocument } from '../../errors.ts';
import type { StoreFailure } from '../../repository/store-health.ts';
import type { Condition } from './conditions.ts';
import type { ClusterLook } from './look.ts';

/** A repository that is filled in the background is always a little behind. */
const BEHIND_MS = 600_000;
/** Of one reason: the others have it too, and a server may offer thousands. */
const TOLD_REFUSALS = 3;

/** What is wrong with a cluster, by one look at it. */
export function clusterConditions(look: ClusterLook): readonly Condition[] {
  return [...gaps(look), ...refusals(look), ...secondWriters(look), ...receiver(look), ...behind(look)];
}

export function repositoryCondition(name: string, failure: StoreFailure | undefined): readonly Condition[] {
  if (failure === undefined) return [];
  const error = errorToDocument(failure.error);
  const message = `repository ${name} cannot be used: ${error.message}`;
  return [
    {
      kind: 'repository-away',
      level: 'error',
      cluster: undefined,
      subject: name,
      message,
      facts: { repository: name, error },
    },
  ];
}

function gaps({ room, gaps: found }: ClusterLook): Condition[] {
  const cluster = room.config.name;
  return found.map((gap) => {
    const { repository, first, last, segments } = gap;
    const run = segments === 1 ? first : `${first} to ${last}`;
    return {
      ...{ kind: 'wal-gap', level: 'error', cluster, subject: `${repository} ${first} ${last}` },
      message: `WAL of ${cluster} is missing in repository ${repository}: ${run}`,
      facts: gap,
    };
  });
}

/** What may pass by itself is told as what it comes from: a repository that is away, say. */
function refusals({ room, status }: ClusterLook): Condition[] {
  const cluster = room.config.name;
  const told = new Map<string, number>();
  return status.wal.refusals.flatMap(({ name, error, firstAt }) => {
    const known = told.get(error.code) ?? 0;
    told.set(error.code, known + 1);
    if (known >= TOLD_REFUSALS || isPassing(error.code)) return [];
    return [
      {
        ...{ kind: 'wal-refused', level: 'error', cluster, subject: `${name} ${error.code} ${firstAt}` },
        message: `WAL of ${cluster} was refused: ${error.message}`,
        facts: { file: name, error },
      } as const,
    ];
  });
}

/** One for each node and timeline, however much it offers. */
function secondWriters({ room, status }: ClusterLook): Condition[] {
  const cluster = room.config.name;
  return status.wal.secondWriters.map(({ timeline, node, writer, file, error }) => ({
    ...{ kind: 'second-writer', level: 'error', cluster, subject: `${timeline} ${node.host}:${node.dataDirectory}` },
    message: `WAL of ${cluster} comes from a second server: ${error.message}`,
    facts: { timeline, node, writer, file, error },
  }));
}

function isPassing(code: string): boolean {
  return Object.hasOwn(ERRORS, code) && ERRORS[code as keyof typeof ERRORS].retryable;
}

function receiver({ room, status }: ClusterLook): Condition[] {
  const cluster = room.config.name;
  const document = status.receiver;
  if (document === null) return [];
  const { state, stoppedAt, failure, gap } = document;
  const conditions: Condition[] = [];
  if (state !== 'streaming' && stoppedAt === null) {
    const why = failure === null ? `it is ${state}` : failure.error.message;
    const facts = failure === null ? { state } : { state, error: failure.error };
    const message = `no WAL of ${cluster} is received: ${why}`;
    conditions.push({ kind: 'receiver-down', level: 'error', cluster, subject: document.slot, message, facts });
  }
  if (gap !== null) {
    const message = `WAL of ${cluster} from ${gap.first} to ${gap.last} is lost: the server no longer has it; take a backup`;
    const subject = `${gap.first} ${gap.last}`;
    conditions.push({ kind: 'receiver-lost-wal', level: 'error', cluster, subject, message, facts: gap });
  }
  return conditions;
}

function behind({ room, status, at }: ClusterLook): Condition[] {
  const cluster = room.config.name;
  return status.repositories.flatMap(({ name, lag }) => {
    if (lag === null || lag.oldestAt === null || at.getTime() - Date.parse(lag.oldestAt) < BEHIND_MS) return [];
    const message = `repository ${name} lacks WAL of ${cluster} that the others hold`;
    return [
      {
        kind: 'repository-behind',
        level: 'warning',
        cluster,
        subject: name,
        message,
        facts: { repository: name, ...lag },
      } as const,
    ];
  });
}
