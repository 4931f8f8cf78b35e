import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClusterName, RepositoryName } from '../../../catalog/catalog.ts';
import type { ClusterConfig } from '../../../src/config/config.ts';
import { shellQuoted } from '../../../src/config/command-line.ts';
import { scriptConfig } from '../../../src/config/script-config.ts';

const CLUSTER: ClusterConfig = {
  name: 'main' as ClusterName,
  dataDirectory: "/data/it's here",
  conninfo: 'host=/tmp password=hunter2',
  backup: { source: 'files', dataDirectory: "/data/it's here", conninfo: 'host=/tmp password=hunter2' },
  repositories: ['local' as RepositoryName],
  required: ['local' as RepositoryName],
  spoolDirectory: '/spool/$(touch x)/main',
  walCompressionLevel: 1,
  backupCompressionLevel: 3,
  receive: undefined,
  drill: { pgBin: undefined, directory: undefined, checks: [] },
  walPushTimeoutSeconds: 30,
  walFetchTimeoutSeconds: 90,
};

function readByShell(text: string, variable: string): string {
  return execFileSync('/bin/sh', ['-c', `eval "$1"; printf %s "$${variable}"`, 'sh', text], { encoding: 'utf8' });
}

describe('the file of shell variables', () => {
  it('gives a shell exactly the values of the configuration', () => {
    const text = scriptConfig(CLUSTER, '/run/walden.sock', '/spool/main/script.conf');
    const values = ['cluster', 'socket', 'spool', 'data', 'push_timeout', 'fetch_timeout'].map((name) =>
      readByShell(text, `walden_${name}`),
    );
    expect(values).toEqual(['main', '/run/walden.sock', '/spool/$(touch x)/main', "/data/it's here", '30', '90']);
  });

  it('shows the settings to paste, quoted for PostgreSQL, and no secret', () => {
    const text = scriptConfig(CLUSTER, '/run/walden.sock', "/spool 100%/it's/script.conf");
    expect(text).toMatch(
      /^# {3}archive_command = 'set -- ''\/spool 100%%\/it''\\\\''''s\/script\.conf'' %p; \. \S+\/bin\/walden-push'$/m,
    );
    expect(text).toMatch(/^# {3}restore_command = '.* %f %p; \. \S+\/bin\/walden-fetch'$/m);
    expect(text).not.toContain('hunter2');
  });

  it('quotes any text as one word', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 40 }).filter((text) => !text.includes('\0')),
        (text) => {
          expect(execFileSync('/bin/sh', ['-c', `printf %s ${shellQuoted(text)}`], { encoding: 'utf8' })).toBe(text);
        },
      ),
      { numRuns: 50 },
    );
  });
});
