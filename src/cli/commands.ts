import type { Command } from 'commander';
import type { Cli } from './cli.ts';

/** Adds arguments, options, an example and the action. */
export type DefineCommand = (command: Command, cli: Cli) => void;

export type CommandEntry = { readonly name: string; readonly summary: string } & (
  | { readonly load: () => Promise<DefineCommand> }
  | { readonly commands: readonly CommandEntry[]; readonly example: string }
);

/** Every command, in the order of `walden --help`. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'init',
    summary: 'begin: configuration, archiving, service and first backup for a server of this host',
    load: async () => (await import('./commands/init.ts')).defineInit,
  },
  {
    name: 'setup',
    summary: 'check and set what a cluster needs of its server',
    load: async () => (await import('./commands/setup.ts')).defineSetup,
  },
  {
    name: 'check',
    summary: 'prove that WAL arrives, and that nothing stands in the way of a restore',
    load: async () => (await import('./commands/check.ts')).defineCheck,
  },
  {
    name: 'service',
    summary: 'run the service in the foreground',
    load: async () => (await import('./commands/service.ts')).defineService,
  },
  {
    name: 'ping',
    summary: 'ask whether the service is ready',
    load: async () => (await import('./commands/ping.ts')).definePing,
  },
  {
    name: 'status',
    summary: 'what can be restored, what waits, what was refused, what runs',
    load: async () => (await import('./commands/status.ts')).defineStatus,
  },
  {
    name: 'jobs',
    summary: 'what is scheduled next, what runs, what ran',
    load: async () => (await import('./commands/jobs.ts')).defineJobs,
  },
  {
    name: 'events',
    summary: 'what changed the archive or needs eyes',
    load: async () => (await import('./commands/events.ts')).defineEvents,
  },
  {
    name: 'list',
    summary: 'list the backups of a cluster',
    load: async () => (await import('./commands/list.ts')).defineList,
  },
  {
    name: 'show',
    summary: 'show one backup, drills, or what was verified',
    load: async () => (await import('./commands/show.ts')).defineShow,
  },
  {
    name: 'backup',
    summary: 'take a base backup of a running cluster',
    load: async () => (await import('./commands/backup.ts')).defineBackup,
  },
  {
    name: 'expire',
    summary: 'remove what retention does not keep',
    load: async () => (await import('./commands/expire.ts')).defineExpire,
  },
  {
    name: 'keep',
    summary: 'have a backup kept whatever retention says',
    load: async () => (await import('./commands/keep.ts')).defineKeep,
  },
  {
    name: 'release',
    summary: 'leave a backup to retention again',
    load: async () => (await import('./commands/keep.ts')).defineRelease,
  },
  {
    name: 'plan',
    summary: 'say what a restore would do, without touching anything',
    load: async () => (await import('./commands/plan.ts')).definePlan,
  },
  {
    name: 'restore',
    summary: 'restore a cluster into a directory',
    load: async () => (await import('./commands/restore.ts')).defineRestore,
  },
  {
    name: 'clone',
    summary: 'make a standby that streams from its primary',
    load: async () => (await import('./commands/clone.ts')).defineClone,
  },
  {
    name: 'verify',
    summary: 'read what is stored again, and mark what is damaged',
    load: async () => (await import('./commands/verify.ts')).defineVerify,
  },
  {
    name: 'drill',
    summary: 'restore for proof: start, recover, check, measure',
    load: async () => (await import('./commands/drill.ts')).defineDrill,
  },
  {
    name: 'report',
    summary: 'write a page with pictures of what can be recovered',
    load: async () => (await import('./commands/report.ts')).defineReport,
  },
  {
    name: 'wal',
    summary: 'WAL files: push, fetch, list, gaps, repair',
    example: 'walden wal list main',
    commands: [
      {
        name: 'push',
        summary: 'archive one WAL file (archive_command)',
        load: async () => (await import('./commands/wal-push.ts')).defineWalPush,
      },
      {
        name: 'fetch',
        summary: 'fetch one WAL file (restore_command)',
        load: async () => (await import('./commands/wal-fetch.ts')).defineWalFetch,
      },
      {
        name: 'list',
        summary: 'what the archive holds, as unbroken ranges',
        load: async () => (await import('./commands/wal-list.ts')).defineWalList,
      },
      {
        name: 'gaps',
        summary: 'segments that are missing between others',
        load: async () => (await import('./commands/wal-gaps.ts')).defineWalGaps,
      },
      {
        name: 'repair',
        summary: 'fetch missing segments from the nodes that have them',
        load: async () => (await import('./commands/wal-repair.ts')).defineWalRepair,
      },
    ],
  },
  {
    name: 'receiver',
    summary: 'the receiver of a cluster: start, stop, reset',
    example: 'walden receiver stop main',
    commands: [
      {
        name: 'start',
        summary: 'begin to receive WAL again',
        load: async () => (await import('./commands/receiver.ts')).defineReceiverStart,
      },
      {
        name: 'stop',
        summary: 'receive no WAL until it is started again',
        load: async () => (await import('./commands/receiver.ts')).defineReceiverStop,
      },
      {
        name: 'reset',
        summary: 'put aside what it cannot go on with, and begin anew',
        load: async () => (await import('./commands/receiver.ts')).defineReceiverReset,
      },
    ],
  },
  {
    name: 'cluster',
    summary: 'a cluster as a whole: follow, writer',
    example: "walden cluster follow main --primary 'host=db2 user=receiver'",
    commands: [
      {
        name: 'follow',
        summary: 'tell the receiver where the primary is now',
        load: async () => (await import('./commands/cluster-follow.ts')).defineClusterFollow,
      },
      {
        name: 'writer',
        summary: 'which node writes each timeline; accept another',
        load: async () => (await import('./commands/cluster-writer.ts')).defineClusterWriter,
      },
    ],
  },
  {
    name: 'node',
    summary: 'the servers of a cluster: list, add, forget',
    example: 'walden node list main',
    commands: [
      {
        name: 'list',
        summary: 'ask each node what it is, whom it follows, and how far it is',
        load: async () => (await import('./commands/node-list.ts')).defineNodeList,
      },
      {
        name: 'add',
        summary: 'have a server be known as a node',
        load: async () => (await import('./commands/node-add.ts')).defineNodeAdd,
      },
      {
        name: 'forget',
        summary: 'have a node be known no more',
        load: async () => (await import('./commands/node-forget.ts')).defineNodeForget,
      },
    ],
  },
  {
    name: 'job',
    summary: 'one job: show, cancel',
    example: 'walden job show 0d3c1f0e-6a55-4f0b-9c57-3f7a3b1d2e4c',
    commands: [
      {
        name: 'list',
        summary: 'the same as: walden jobs',
        load: async () => (await import('./commands/jobs.ts')).defineJobs,
      },
      {
        name: 'show',
        summary: 'show one job',
        load: async () => (await import('./commands/job-show.ts')).defineJobShow,
      },
      {
        name: 'cancel',
        summary: 'end a job and wait until it has ended',
        load: async () => (await import('./commands/job-cancel.ts')).defineJobCancel,
      },
    ],
  },
  {
    name: 'catalog',
    summary: 'the index of the repositories: rebuild',
    example: 'walden catalog rebuild',
    commands: [
      {
        name: 'rebuild',
        summary: 'build the catalog anew from the repositories',
        load: async () => (await import('./commands/catalog-rebuild.ts')).defineCatalogRebuild,
      },
    ],
  },
  {
    name: 'repository',
    summary: 'repositories themselves: check, sync, repair, ls, get, du',
    example: 'walden repository check offsite',
    commands: [
      {
        name: 'check',
        summary: 'try what a repository can and may do, and how fast it is',
        load: async () => (await import('./commands/repository-check.ts')).defineRepositoryCheck,
      },
      {
        name: 'sync',
        summary: 'copy into a repository what another one holds',
        load: async () => (await import('./commands/repository-sync.ts')).defineRepositorySync,
      },
      {
        name: 'repair',
        summary: 'check every object, and replace bad ones by copies',
        load: async () => (await import('./commands/repository-repair.ts')).defineRepositoryRepair,
      },
      {
        name: 'ls',
        summary: 'list the objects of a repository',
        load: async () => (await import('./commands/repository-ls.ts')).defineRepositoryLs,
      },
      {
        name: 'get',
        summary: 'copy one object out of a repository',
        load: async () => (await import('./commands/repository-get.ts')).defineRepositoryGet,
      },
      {
        name: 'du',
        summary: 'what WAL and backups take in a repository',
        load: async () => (await import('./commands/repository-du.ts')).defineRepositoryDu,
      },
    ],
  },
  {
    name: 'key',
    summary: 'keys of encrypted repositories: new, list, rotate',
    example: 'walden key list offsite',
    commands: [
      {
        name: 'new',
        summary: 'make the first key of a repository',
        load: async () => (await import('./commands/key-new.ts')).defineKeyNew,
      },
      {
        name: 'list',
        summary: 'list the keys of a repository, without their secrets',
        load: async () => (await import('./commands/key-list.ts')).defineKeyList,
      },
      {
        name: 'rotate',
        summary: 'make a new key for new objects, and for old ones if asked',
        load: async () => (await import('./commands/key-rotate.ts')).defineKeyRotate,
      },
    ],
  },
  {
    name: 'config',
    summary: 'the configuration: check',
    example: 'walden config check',
    commands: [
      {
        name: 'check',
        summary: 'check the configuration file and its directories',
        load: async () => (await import('./commands/config-check.ts')).defineConfigCheck,
      },
    ],
  },
  {
    name: 'script-config',
    summary: 'print the settings for archive_command and restore_command',
    load: async () => (await import('./commands/script-config.ts')).defineScriptConfig,
  },
  {
    name: 'openapi',
    summary: "print the description of the service's API",
    load: async () => (await import('./commands/openapi.ts')).defineOpenapi,
  },
];
