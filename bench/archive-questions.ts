import type { ApiClient } from '../src/cli/api-client.ts';
import { clusterPath } from '../src/cli/api-paths.ts';
import { formatMicros, type Micros } from '../src/postgres/timestamp.ts';
import type { PlanDocument, RestoreRequest, TargetRequest } from '../src/service/api.ts';
import type { ArchiveShape } from './archive-shape.ts';

/** A question that an operator asks. `route` is its name in the service, `command` the same in words. */
export interface Question {
  readonly name: string;
  readonly route: string;
  readonly command: readonly string[];
  readonly ask: (client: ApiClient) => Promise<object>;
}

/** Of a transaction in that segment, near its end. */
function xidAt(shape: ArchiveShape, position: number): number {
  return shape.firstXid(position) + 4_000;
}

function recentXid(shape: ArchiveShape): number {
  return xidAt(shape, shape.positions - 20);
}

function xidInTheMiddle(shape: ArchiveShape): number {
  return xidAt(shape, middle(shape));
}

/** Whose segments must be in the repository, since they are read. */
export function searchedXids(shape: ArchiveShape): readonly number[] {
  return [recentXid(shape), xidInTheMiddle(shape)];
}

/** Not beside a gap, and behind a backup of its own unbroken run. */
function middle(shape: ArchiveShape): number {
  return Math.floor(shape.positions * 0.505);
}

export function questionsAbout(shape: ArchiveShape): readonly Question[] {
  const time = formatMicros((shape.moment(middle(shape)) + 12_000_000) as Micros);
  return [
    reading('status', '/v1/status', '/v1/status', ['status']),
    reading('list', clusterPath('main', 'backups'), '/v1/clusters/:cluster/backups', ['list', 'main']),
    reading('wal list', clusterPath('main', 'wal'), '/v1/clusters/:cluster/wal', ['wal', 'list', 'main']),
    reading('wal gaps', clusterPath('main', 'wal', 'gaps'), '/v1/clusters/:cluster/wal/gaps', ['wal', 'gaps', 'main']),
    plan('plan --latest', { kind: 'latest' }),
    plan('plan --time, in the middle', { kind: 'time', value: time }),
    plan('plan --xid, a recent one', { kind: 'xid', value: String(recentXid(shape)) }),
    plan('plan --xid, in the middle', { kind: 'xid', value: String(xidInTheMiddle(shape)) }),
  ];
}

function reading(name: string, path: string, url: string, command: readonly string[]): Question {
  return { name, route: `GET ${url}`, command, ask: (client) => client.get<object>(path) };
}

function plan(name: string, target: TargetRequest): Question {
  const request: RestoreRequest = { target, to: '/nonexistent/data' };
  return {
    name,
    route: 'POST /v1/clusters/:cluster/plan',
    command: ['plan', 'main', `--${target.kind}`, ...(target.value === undefined ? [] : [target.value])],
    ask: (client) => client.post<PlanDocument>(clusterPath('main', 'plan'), request),
  };
}
