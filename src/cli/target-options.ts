import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { WaldenError } from '../errors.ts';
import type { RestoreRequest, TargetRequest } from '../service/api.ts';
import { collect } from './connection.ts';
import { wholeNumber } from './numbers.ts';

/** The recovery target as `plan` and `restore` take it. Values stay as they were written: the service reads them. */
export interface TargetOptions {
  readonly time?: string;
  readonly lsn?: string;
  readonly xid?: string;
  readonly name?: string;
  readonly immediate?: true;
  readonly latest?: true;
  readonly exclusive?: true;
  readonly timeline?: number;
  readonly backup?: string;
  readonly action?: 'pause' | 'promote' | 'shutdown';
  readonly standby?: true;
  readonly takeOver?: true;
  readonly tablespaceMap?: readonly string[];
  readonly delta?: true;
  readonly discardWal?: true;
  readonly workers?: number;
}

const KINDS = ['time', 'lsn', 'xid', 'name', 'immediate', 'latest'] as const;

/** Where recovery is to end. */
export function addRecoveryTargetOptions(command: Command): Command {
  return command
    .option('--time <text>', "last moment to keep: '2026-11-22 14:03:00+01' (UTC without a zone), or '10 minutes ago'")
    .option('--lsn <lsn>', 'last LSN to keep, like 16/B374D848')
    .option('--xid <xid>', 'last transaction to keep')
    .option('--name <text>', 'a restore point')
    .option('--immediate', 'stop as soon as the backup is consistent')
    .option('--latest', 'replay all WAL there is (the default)')
    .option('--exclusive', 'stop just before the target instead of just after it')
    .option(
      '--timeline <number>',
      'timeline to follow (default: the newest that holds the target)',
      wholeNumber(1, 0xffff_ffff),
    )
    .option('--backup <id>', 'backup to start from (default: the best one for the target)');
}

export function addTargetOptions(command: Command): Command {
  return addRecoveryTargetOptions(command)
    .addOption(new Option('--action <action>', 'at the target').choices(['pause', 'promote', 'shutdown']))
    .option('--standby', 'make it a standby')
    .option('--take-over', 'let it archive as this cluster from now on (default: archive_mode = off)')
    .option('--tablespace-map <old=new>', 'put a tablespace elsewhere; may be repeated', collect)
    .option('--workers <number>', 'threads (default: the key workers)', wholeNumber(1, 256));
}

/** @throws USAGE for what cannot stand together; values are checked by the service. */
export function targetRequest(options: TargetOptions): TargetRequest {
  const given = KINDS.filter((kind) => options[kind] !== undefined);
  if (given.length > 1) {
    throw new WaldenError('USAGE', `${flags(given)} cannot stand together`, { hint: 'name one target' });
  }
  const kind = given[0] ?? 'latest';
  const value = kind === 'immediate' || kind === 'latest' ? undefined : options[kind];
  if (options.exclusive === true && !(kind === 'time' || kind === 'lsn' || kind === 'xid')) {
    throw new WaldenError('USAGE', `--exclusive has no meaning with ${flags([kind])}`, {
      hint: 'use it with --time, --lsn or --xid',
    });
  }
  return {
    kind,
    ...(value === undefined ? {} : { value }),
    ...(options.exclusive === undefined ? {} : { exclusive: true }),
    ...(options.timeline === undefined ? {} : { timeline: options.timeline }),
    ...(options.backup === undefined ? {} : { backup: options.backup }),
  };
}

/** @throws USAGE */
export function restoreRequest(options: TargetOptions, to: string, workingDirectory: string): RestoreRequest {
  const target = targetRequest(options);
  if (options.action !== undefined && target.kind === 'latest') {
    throw new WaldenError('USAGE', '--action has no meaning without a target', {
      hint: 'name one with --time, --lsn, --xid, --name or --immediate; without a target the server opens at the end of WAL',
    });
  }
  if (options.standby === true && (target.kind !== 'latest' || options.action !== undefined)) {
    throw new WaldenError('USAGE', `--standby cannot stand beside ${flags([target.kind])}`, {
      hint: 'a standby replays all WAL and goes on: leave the target out, or --standby',
    });
  }
  const map = tablespaceMap(options.tablespaceMap ?? [], workingDirectory);
  return {
    target,
    to: to === '' ? '' : resolve(workingDirectory, to),
    ...(map === undefined ? {} : { tablespaceMap: map }),
    ...(options.action === undefined ? {} : { action: options.action }),
    ...(options.standby === undefined ? {} : { standby: true }),
    ...(options.takeOver === undefined ? {} : { takeOver: true }),
    ...deltaRequest(options),
    ...(options.workers === undefined ? {} : { workers: options.workers }),
  };
}

/** For an old data directory in the place of a new one. */
export function addDeltaOptions(command: Command): Command {
  return command
    .option(
      '--delta',
      'bring an old data directory there: keep the files that are right, write and remove what differs',
    )
    .option('--discard-wal', 'with --delta: give up WAL of the old directory that no repository has');
}

export function deltaRequest({ delta, discardWal }: Pick<TargetOptions, 'delta' | 'discardWal'>): {
  readonly delta?: true;
  readonly discardWal?: true;
} {
  return {
    ...(delta === undefined ? {} : { delta: true }),
    ...(discardWal === undefined ? {} : { discardWal: true }),
  };
}

export function tablespaceMap(pairs: readonly string[], workingDirectory: string): Record<string, string> | undefined {
  if (pairs.length === 0) return undefined;
  const map: Record<string, string> = {};
  for (const pair of pairs) {
    // As pg_basebackup: an equals sign inside a path is written \=.
    const [from, to, ...rest] = pair.split(/(?<!\\)=/).map((part) => part.replaceAll('\\=', '='));
    if (from === undefined || to === undefined || rest.length > 0 || from === '' || to === '') {
      throw new WaldenError('USAGE', `--tablespace-map ${JSON.stringify(pair)} is not OLD=NEW`, {
        hint: 'for example --tablespace-map /mnt/fast=/mnt/slow; write \\= for an equals sign inside a path',
      });
    }
    if (Object.hasOwn(map, from)) throw new WaldenError('USAGE', `--tablespace-map names ${from} twice`);
    map[from] = resolve(workingDirectory, to);
  }
  return map;
}

function flags(kinds: readonly string[]): string {
  return kinds.map((kind) => `--${kind}`).join(' and ');
}
