import { dirname } from 'node:path';
import { newDirectory, removeDirectory } from '../../test/support/sandbox.ts';
import { Screen } from './screen.ts';
import { type Cast, tellStory } from './story.ts';

/** `npm run demo`: the main job, embedded, on a real PostgreSQL. Everything it makes is removed, however it ends. */

const VERSION = 17;
const LOG_TAIL_LINES = 15;

const WHAT_NEXT = `
For your own server, on its host, as the user of PostgreSQL:
  write /etc/walden/walden.toml    README.md shows the smallest useful one
  bin/walden config check
  bin/walden service               packaging/walden.service: a unit for systemd
  bin/walden script-config main    prints archive_command to paste; set
                                   archive_mode = on and restart once
  bin/walden backup main
  bin/walden status                from when to when you can restore
  bin/walden restore main --to DIRECTORY --time '10 minutes ago'`;

const screen = new Screen((text) => process.stdout.write(text));
const directory = dirname(newDirectory('demo'));
const cast: Cast = {};

async function endEverything(): Promise<void> {
  const { restored, original, walden } = cast;
  await Promise.allSettled([restored?.stop('immediate'), original?.stop('immediate'), walden?.kill()]);
  removeDirectory(directory);
}

async function tail(name: string, log: Promise<string> | undefined): Promise<string> {
  if (log === undefined) return '';
  const text = await log.catch((error: unknown) => `no log: ${String(error)}`);
  return `\n-- the last lines of ${name}\n${text.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')}\n`;
}

async function explain(error: unknown, doing: string | undefined): Promise<string> {
  const message = error instanceof Error ? error.message : String(error);
  const logs = await Promise.all([
    tail('the log of the service', cast.walden?.log()),
    tail('the log of PostgreSQL', cast.original?.log()),
    tail('the log of the restored server', cast.restored?.log()),
  ]);
  return `${logs.join('')}\nThe demo failed at: ${doing ?? 'its beginning'}\n${message}\n`;
}

let ending: Promise<void> | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    ending ??= endEverything().then(() => {
      process.stderr.write(`\nInterrupted: stopped everything and removed ${directory}\n`);
      process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  });
}

const started = performance.now();
screen.line(`Walden, the main job on real parts, in ${directory}\n`);
try {
  await tellStory(screen, VERSION, cast);
  await endEverything();
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  screen.line(`\nStopped everything and removed ${directory}; ${seconds} s in all.`);
  screen.line(WHAT_NEXT);
} catch (error) {
  // After a signal every step fails, since its servers end under it.
  if (ending === undefined) {
    process.stderr.write(await explain(error, screen.current));
    await endEverything();
    process.stderr.write(`Stopped everything and removed ${directory}\n`);
    process.exitCode = 1;
  } else {
    await ending;
  }
}
