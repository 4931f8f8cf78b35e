import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cp } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { newDirectory } from '../../support/sandbox.ts';
import { startRestored, startServer } from '../../support/postgres-server.ts';
import { testedVersions } from '../../support/tested-versions.ts';

describe.each(testedVersions)('startServer, PostgreSQL %i', (version) => {
  it('starts, stops, starts again, survives a kill and shows its log', async () => {
    const server = await startServer({
      version,
      initdbArguments: ['--wal-segsize=1', '-k'],
      settings: { work_mem: '5MB' },
    });
    expect(await server.value('show wal_segment_size')).toBe('1MB');
    expect(await server.value('show data_checksums')).toBe('on');
    expect(await server.value('show work_mem')).toBe('5MB');
    expect(await server.value('show server_version_num')).toMatch(new RegExp(`^${version}`));
    await server.query('create table kept as select $1::int as n', [7]);
    await server.stop('fast');
    expect(server.running).toBe(false);
    await server.start();
    await server.kill();
    await server.start();
    expect(await server.value('select n from kept')).toBe('7');
    expect(await server.log()).toContain('was not properly shut down');
    await server.stop();

    const copy = join(newDirectory('copy'), 'data');
    await cp(server.dataDirectory, copy, { recursive: true });
    const restored = await startRestored(copy, { version });
    expect(await restored.value('select n from kept')).toBe('7');
    await restored.dispose();
    await server.dispose();
    expect(existsSync(server.dataDirectory)).toBe(false);
  });

  it('says what the log says when the server does not start', async () => {
    const server = await startServer({ version });
    await server.stop();
    await expect(startRestored(server.dataDirectory, { version, settings: { nonsense: 1 } })).rejects.toThrow(
      /the server ended[^]*unrecognized configuration parameter "nonsense"/,
    );
    expect(readFileSync(join(server.dataDirectory, 'PG_VERSION'), 'utf8').trim()).toBe(String(version));
    await server.dispose();
  });
});
