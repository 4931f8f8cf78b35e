import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import type { AzureOptions } from '../../../storage-drivers/azure/azure-options.ts';
import { keyOf, makeCertificate } from '../certificate.ts';
import { freePort } from '../free-port.ts';
import { projectDirectory } from '../project.ts';
import { newDirectory, removeDirectory, watchProcess } from '../sandbox.ts';
import { until } from '../until.ts';

export const AZURITE_ACCOUNT = 'waldentest';

const PROGRAM = join(projectDirectory, 'test/stores/node_modules/azurite/dist/src/blob/main.js');
const START_MS = 180_000;

/** A running Azurite with one container. */
export interface Azurite {
  readonly port: number;
  readonly container: string;
  /** Of the account, made for this server: no error and no log may hold it. */
  readonly key: string;
  /** Of the container; with rights that the driver does not need. */
  readonly client: ContainerClient;
  /** For the driver: with the key in a file, and every object below a prefix of its own. */
  readonly options: (changes?: Partial<AzureOptions>) => AzureOptions;
  /** The certificate that it presents, when it speaks TLS. */
  readonly certificate: string | undefined;
  readonly stop: () => Promise<void>;
}

/** Undefined where it can be started. */
export function whyNoAzurite(): string | undefined {
  if (existsSync(PROGRAM)) return undefined;
  const reason = 'Azurite is not installed: npm ci --prefix test/stores';
  if (process.env['CI'] === 'true') throw new Error(reason);
  console.warn(`left out: ${reason}`);
  return reason;
}

export async function startAzurite({ tls = false }: { readonly tls?: boolean } = {}): Promise<Azurite> {
  const directory = newDirectory('azurite');
  const certificate = tls ? makeCertificate(directory, 'store') : undefined;
  const port = await freePort();
  const log = join(directory, 'log');
  const key = randomBytes(64).toString('base64');
  const child = spawn(
    process.execPath,
    [
      ...[PROGRAM, '--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', directory],
      ...['--silent', '--disableTelemetry', '--skipApiVersionCheck'],
      ...(certificate === undefined ? [] : ['--cert', certificate, '--key', keyOf(certificate)]),
    ],
    {
      cwd: directory,
      stdio: ['ignore', openSync(log, 'a'), openSync(log, 'a')],
      env: { PATH: process.env['PATH'], AZURITE_ACCOUNTS: `${AZURITE_ACCOUNT}:${key}` },
    },
  );
  const forget = watchProcess(child.pid!);
  await until(() => (child.exitCode !== null ? fail(log) : accepts(port)), {
    what: 'Azurite to accept connections',
    deadlineMs: START_MS,
    explain: () => readFileSync(log, 'utf8'),
  });
  const origin = `${tls ? 'https' : 'http'}://127.0.0.1:${port}/${AZURITE_ACCOUNT}`;
  const container = 'walden';
  const credential = new StorageSharedKeyCredential(AZURITE_ACCOUNT, key);
  const trust = certificate === undefined ? undefined : { ca: readFileSync(certificate) };
  // The SDK's types do not know this option of its pipeline.
  const pipeline = { retryOptions: { maxTries: 1 }, tlsOptions: trust };
  const client = new ContainerClient(`${origin}/${container}`, credential, pipeline);
  await client.create();
  const keyFile = join(directory, 'account-key');
  writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
  return {
    port,
    container,
    key,
    client,
    certificate,
    options: (changes = {}) => ({
      ...NO_OPTIONS,
      container,
      prefix: `test/${randomUUID()}`,
      account: AZURITE_ACCOUNT,
      endpoint: origin,
      keyFile,
      caFile: certificate,
      ...changes,
    }),
    stop: async () => {
      await end(child);
      forget();
      removeDirectory(directory);
    },
  };
}

export const NO_OPTIONS: Omit<AzureOptions, 'container'> = {
  prefix: undefined,
  account: undefined,
  endpoint: undefined,
  connectionStringFile: undefined,
  keyFile: undefined,
  sasFile: undefined,
  caFile: undefined,
  proxy: undefined,
  accessTier: undefined,
  tags: undefined,
  encryptionScope: undefined,
};

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

function fail(log: string): never {
  throw new Error(`Azurite ended: ${readFileSync(log, 'utf8')}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exit;
}
