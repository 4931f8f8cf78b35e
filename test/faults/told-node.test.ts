import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { archiveCommand } from '../../src/config/command-line.ts';
import { type ToldNode, toldNode } from '../../src/wal/wal-node.ts';
import { StandInService } from '../cli/stand-in-service.ts';
import { newDirectory } from '../support/sandbox.ts';
import { runProgram } from '../support/walden.ts';

const SHELLS = [
  { shell: 'dash', words: ['/usr/bin/dash'] },
  { shell: 'busybox sh', words: ['/usr/bin/busybox', 'sh'] },
  { shell: 'bash', words: ['/bin/bash'] },
].filter(({ words }) => existsSync(words[0]!));
const NAME = '000000010000000000000007';
const ODD = [
  'plain',
  'with a space',
  'it\'s "quoted" $(id) `id` \\n',
  'süß-ñ-文',
  '100%41',
  'two\nlines\r: x',
  '-n',
  '*',
];

/** Stands in the service's place; the script, curl and od are real. */
describe.each(SHELLS)('walden-push in a data directory that is not the configured one, run by $shell', ({ words }) => {
  let service: StandInService | undefined;
  afterEach(async () => {
    await service?.close();
    service = undefined;
  });

  async function pushed(data: string, path = `pg_wal/${NAME}`): Promise<ToldNode | undefined> {
    const directory = newDirectory('told');
    service = new StandInService(() => ({ text: '0\n' }));
    await service.listen(join(directory, 'sock'));
    const config = join(directory, 'script.conf');
    writeFileSync(
      config,
      `walden_cluster='main'\nwalden_socket='${directory}/sock'\nwalden_spool='${directory}'\nwalden_data='/nowhere'\n` +
        `walden_push_timeout='30'\n`,
    );
    const [program = '', ...more] = words;
    const command = archiveCommand(config).replace('%p', path);
    const outcome = await runProgram(program, [...more, '-c', command], {
      cwd: data,
      env: { ...process.env, LANG: 'en_US.UTF-8' },
    });
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    const [asked] = service.asked;
    expect(asked).toMatchObject({ method: 'PUT', path: `/v1/clusters/main/wal/${NAME}`, body: 'wal' });
    return toldNode(asked!.headers);
  }

  function dataDirectory(name = 'data', ...files: readonly string[]): string {
    const data = join(newDirectory('data'), name);
    mkdirSync(join(data, 'pg_wal'), { recursive: true });
    writeFileSync(join(data, 'pg_wal', NAME), 'wal');
    for (const file of files) writeFileSync(join(data, file), '');
    return data;
  }

  const shown = (path: string): string => path.replaceAll('%', '%25').replaceAll('\n', '%0A').replaceAll('\r', '%0D');

  it.each(ODD)('tells it by its name, whatever that is: %j', async (name) => {
    const data = dataDirectory(name);
    const node = { host: hostname(), dataDirectory: shown(data) };
    expect(await pushed(data)).toEqual({ node, inRecovery: false, newestTimeline: 1 });
  });

  it('tells where it really is, not by which link it was come to', async () => {
    const data = dataDirectory();
    const link = join(newDirectory('link'), 'link');
    symlinkSync(data, link);
    expect((await pushed(link))?.node.dataDirectory).toBe(data);
  });

  it.each(['standby.signal', 'recovery.signal'])('tells that its server is in recovery by %s', async (signal) => {
    expect(await pushed(dataDirectory('data', signal))).toMatchObject({ inRecovery: true });
  });

  it('tells the newest timeline of which it has the history', async () => {
    const files = ['00000002.history', '0000000A.history', '00000009.history', 'ABCDEFGH.history'];
    const data = dataDirectory('data', ...files.map((file) => `pg_wal/${file}`));
    expect(await pushed(data)).toMatchObject({ newestTimeline: 10 });
  });

  it('tells nobody where a file is brought by hand', async () => {
    const data = dataDirectory();
    expect(await pushed('/', join(data, 'pg_wal', NAME))).toBeUndefined();
  });
});
