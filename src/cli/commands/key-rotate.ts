import type { Command } from 'commander';
import type { KeyRing, RewrapOutcome } from '../../../storage-drivers/with-encryption.ts';
import type { Config } from '../../config/config.ts';
import type { Cli } from '../cli.ts';
import { addConfigOption, type ConfigOptions, readConfig } from '../connection.ts';
import { example } from '../example.ts';
import { createProgressBar } from '../render/progress-bar.ts';
import { madeKeyDocument, renderMadeKey, renderRewrap, rewrapDocument } from '../render/keys.ts';

interface RotateOptions extends ConfigOptions {
  readonly rewrap?: true;
}

export function defineKeyRotate(command: Command, cli: Cli): void {
  addConfigOption(command)
    .argument('<repository>', 'name of the repository')
    .option('--rewrap', 'have the objects that are stored already opened by the new key too; begun again, it goes on')
    .description(
      'Makes a new key for new objects. Objects that are stored already keep theirs, which stay where they are.',
    )
    .addHelpText('after', example('walden key rotate offsite', 'walden key rotate offsite --rewrap'))
    .action(async (name: string) => {
      const options = command.optsWithGlobals<RotateOptions>();
      const config = await readConfig(cli, options);
      const { assertReplaceable, openKeyRing } = await import('../../open-stores.ts');
      const keys = await openKeyRing(config, name);
      if (options.rewrap !== true) {
        const made = await keys.make(cli.clock.now(), 'next');
        cli.result(madeKeyDocument(keys.options, made), renderMadeKey);
        return;
      }
      // Before there is a new key.
      assertReplaceable(config, name);
      await rotateAndRewrap(cli, config, name, keys);
    });
}

async function rotateAndRewrap(cli: Cli, config: Config, name: string, keys: KeyRing): Promise<void> {
  if (await keys.isRewrapUnfinished()) {
    cli.remark('an earlier --rewrap did not come to its end: it goes on, and no new key is made');
  } else {
    const made = await keys.make(cli.clock.now(), 'next');
    cli.remark(renderMadeKey(madeKeyDocument(keys.options, made)));
    await keys.beginRewrap();
  }
  const outcome = await rewrap(cli, config, name, keys);
  await keys.rewrapEnded();
  const { current } = await keys.keys();
  cli.result(rewrapDocument(name, current, outcome), renderRewrap);
  const [failure] = outcome.failures;
  if (failure !== undefined) cli.exitStatus = failure.error.exitCode;
}

async function rewrap(cli: Cli, config: Config, name: string, keys: KeyRing): Promise<RewrapOutcome> {
  const { rewrapRepository } = await import('../../open-stores.ts');
  const bar = await createProgressBar(cli.world.stderr);
  const start = cli.clock.now().getTime();
  try {
    return await rewrapRepository(config, name, {
      keys,
      signal: cli.interruption(),
      onProgress: ({ bytes, doneBytes, doneObjects }) => {
        const seconds = (cli.clock.now().getTime() - start) / 1000;
        const bytesPerSecond = seconds > 0 ? doneBytes / seconds : 0;
        bar.show({
          progress: { phase: 'rewrap', doneBytes, totalBytes: bytes, bytesPerSecond, files: doneObjects },
        });
      },
    });
  } finally {
    bar.stop();
  }
}
