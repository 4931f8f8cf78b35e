import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { removeDirectory } from './sandbox.ts';
import { giveIdentity } from './taken-identity.ts';

const run = promisify(execFile);
const DEADLINE_MS = 180_000;

/** Where the clusters are that are copied: scripts/prepared-clusters.mjs makes it for a run of the tests, and removes it. */
const PREPARED = process.env['WALDEN_TEST_CLUSTERS'];

/**
 * A new cluster. initdb takes a second or more of a processor, and its result is always the same but for the system
 * identifier: so it runs once for each program and arguments, and what it made is copied and gets an identity of its own.
 */
export async function newCluster(dataDirectory: string, initdb: string, parameters: readonly string[]): Promise<void> {
  if (PREPARED === undefined) {
    await initialise(dataDirectory, initdb, parameters);
    return;
  }
  const name = createHash('sha256')
    .update([initdb, ...parameters].join('\n'))
    .digest('hex')
    .slice(0, 16);
  const prepared = join(PREPARED, name);
  if (!existsSync(prepared)) await prepare(prepared, initdb, parameters);
  await run('cp', ['-Rp', prepared, dataDirectory], { timeout: DEADLINE_MS });
  giveIdentity(dataDirectory, newIdentity());
}

/** Another process may prepare the same one: the first that is done counts. */
async function prepare(prepared: string, initdb: string, parameters: readonly string[]): Promise<void> {
  const own = join(mkdtempSync(`${prepared}-`), 'data');
  await initialise(own, initdb, parameters);
  try {
    renameSync(own, prepared);
  } catch (error) {
    if (!existsSync(prepared)) throw error;
  }
  removeDirectory(join(own, '..'));
}

async function initialise(dataDirectory: string, initdb: string, parameters: readonly string[]): Promise<void> {
  await run(initdb, ['-D', dataDirectory, ...parameters], {
    timeout: DEADLINE_MS,
    env: { ...process.env, TZ: 'UTC' },
  });
}

/** As initdb makes one: the second of its making, and what no other one of that second has. */
function newIdentity(): Buffer {
  const identifier = randomBytes(8);
  identifier.writeUInt32LE(Math.floor(Date.now() / 1000), 4);
  return identifier;
}
