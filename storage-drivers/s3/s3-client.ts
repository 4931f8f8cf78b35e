import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { localIoError, WaldenError } from '../../src/errors.ts';
import { keysOfFile } from './s3-credentials.ts';
import type { S3Options } from './s3-options.ts';
import { sliceBodies } from './sliced-bodies.ts';
import { HttpsTunnelAgent, HttpTunnelAgent, Tunnels } from './tunnel-agent.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A connection on which nothing has come or gone for so long is lost. */
const SILENCE_TIMEOUT_MS = 60_000;
/** Connections that nobody uses are closed by us, before the store closes them just when the next request is sent. */
const UNUSED_TIMEOUT_MS = 15_000;
/** More than requests worth having: a stream that is not read for a while keeps its connection. */
const MAX_CONNECTIONS = 32;

/** Drivers never log: neither may the SDK. */
const SILENT = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

function nothing(): void {
  // What matters becomes an error.
}

/** @throws CONFIG_INVALID for what can be seen without a request */
export async function openClient(options: S3Options): Promise<S3Client> {
  // The SDK's only switch for a warning that it would print into the output of every command.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const {
    endpoint,
    profile,
    credentialsFile,
    checksums = endpoint === undefined ? 'when_supported' : 'when_required',
  } = options;
  const region = options.region ?? (endpoint === undefined ? undefined : 'us-east-1');
  const calculation = checksums === 'when_required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
  const config: S3ClientConfig = {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(credentialsFile === undefined ? {} : { credentials: () => keysOfFile(credentialsFile, profile ?? 'default') }),
    ...(profile === undefined || credentialsFile !== undefined ? {} : { profile }),
    forcePathStyle: options.pathStyle ?? endpoint !== undefined,
    requestChecksumCalculation: calculation,
    responseChecksumValidation: calculation,
    // Retries are the wrappers' business, and the SDK would not wait for `100 Continue` with agents of ours.
    maxAttempts: 1,
    expectContinueHeader: false,
    logger: SILENT,
    requestHandler: {
      ...(await agents(options)),
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_TIMEOUT_MS,
      logger: SILENT,
    },
  };
  const client = new S3Client(config);
  sliceBodies(client);
  return client;
}

async function agents({
  caFile,
  proxy,
}: S3Options): Promise<{ readonly httpAgent: HttpAgent; readonly httpsAgent: HttpsAgent }> {
  const ca = caFile === undefined ? undefined : await readAuthorities(caFile);
  const settings = {
    keepAlive: true,
    maxSockets: MAX_CONNECTIONS,
    timeout: UNUSED_TIMEOUT_MS,
    ...(ca === undefined ? {} : { ca }),
  };
  if (proxy === undefined) return { httpAgent: new HttpAgent(settings), httpsAgent: new HttpsAgent(settings) };
  const tunnels = new Tunnels(new URL(proxy), ca);
  return { httpAgent: new HttpTunnelAgent(tunnels, settings), httpsAgent: new HttpsTunnelAgent(tunnels, settings) };
}

async function readAuthorities(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const { message } = localIoError(error, `unable to read the certificate authorities in ${path}`);
    throw new WaldenError('CONFIG_INVALID', message, { hint: 'correct ca_file', cause: error });
  }
}
