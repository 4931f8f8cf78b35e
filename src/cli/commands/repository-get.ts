import { open, unlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { localIoError, systemErrorCode, WaldenError } from '../../errors.ts';
import { syncDirectory } from '../../platform/files.ts';
import type { Cli } from '../cli.ts';
import { addAsOfOption, addConfigOption, type AsOfOptions, withConfiguredRepository } from '../connection.ts';
import { example } from '../example.ts';

export function defineRepositoryGet(command: Command, cli: Cli): void {
  addAsOfOption(addConfigOption(command))
    .argument('<repository>', 'name of the repository')
    .argument('<key>', 'key of the object, as walden repository ls prints it')
    .argument('[file]', 'a new file to write it to; without it: standard output')
    .description('Copies one object out of a repository as it is stored.')
    .addHelpText(
      'after',
      example('walden repository get offsite main/cluster.json', 'walden repository get offsite KEY ./segment.zst'),
    )
    .action(async (name: string, key: string, file: string | undefined) => {
      const { objectKey } = await import('../../../storage-drivers/object-key.ts');
      const signal = cli.interruption();
      await withConfiguredRepository(
        cli,
        command.optsWithGlobals<AsOfOptions>(),
        name,
        { access: 'read-only' },
        async (driver) => {
          const source = await driver.get(objectKey(key), { signal });
          if (file === undefined) {
            await pipeline(source, cli.world.stdout, { end: false });
            return;
          }
          await writeNewFile(resolve(cli.world.workingDirectory, file), source);
        },
      );
    });
}

/** Whole and durable, or not at all. @throws PATH_NOT_EMPTY, LOCAL_IO, STORAGE_FULL, and what the source throws */
async function writeNewFile(path: string, source: Readable): Promise<void> {
  const file = await open(path, 'wx', 0o640).catch((error: unknown) => {
    source.destroy();
    if (systemErrorCode(error) !== 'EEXIST') throw localIoError(error, `unable to make ${path}`);
    throw new WaldenError('PATH_NOT_EMPTY', `${path} exists already`, { hint: 'name a new file' });
  });
  try {
    // writeFile on a handle goes on at its position and writes all.
    for await (const chunk of source as AsyncIterable<Uint8Array>) await file.writeFile(chunk);
    await file.sync();
    await syncDirectory(dirname(path));
  } catch (error) {
    await unlink(path).catch(() => {
      // What went wrong before is to be told.
    });
    throw localIoError(error, `unable to write ${path}`);
  } finally {
    await file.close();
  }
}
