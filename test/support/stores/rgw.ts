import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { newDirectory, removeDirectory } from '../sandbox.ts';
import { until } from '../until.ts';
import {
  type Certificates,
  makeCertificates,
  runProgram,
  type S3TestServer,
  type S3User,
  ServerProcess,
  whyNot,
} from './s3-servers.ts';

/** A real Ceph object gateway with one monitor and one object daemon that keeps everything in memory. */

/** Usually it takes some seconds; once in many starts, on a busy machine, its daemons wait for each other for ever. */
const START_DEADLINE_MS = 80_000;
const ATTEMPTS = 2;
const STORE_BYTES = 2 * 1024 ** 3;
const PROGRAMS = ['ceph', 'ceph-authtool', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin', 'openssl'];

export function whyNoRgw(): string | undefined {
  return whyNot(PROGRAMS, 'radosgw, ceph-mon and ceph-osd');
}

export interface Rgw extends S3TestServer {
  /** The same store behind TLS, with a certificate of an authority of its own. */
  readonly tlsEndpoint: string;
  readonly caFile: string;
  /** Somebody else, who may make buckets too, each of which is full with its third object. */
  readonly stranger: S3User;
  /** Somebody who may do what the policy of a bucket allows him: see `principal`. */
  readonly guest: S3User & { readonly principal: string };
}

/** @param storeBytes what it can hold; of what is removed it gives nothing back for hours */
export async function startRgw({ storeBytes = STORE_BYTES }: { readonly storeBytes?: number } = {}): Promise<Rgw> {
  for (let attempt = 1; ; attempt += 1) {
    const directory = newDirectory('rgw');
    const processes: ServerProcess[] = [];
    const stop = async (): Promise<void> => {
      for (const one of processes.reverse()) await one.stop();
      removeDirectory(directory);
    };
    try {
      return { ...(await start(directory, processes, storeBytes)), stop };
    } catch (error) {
      await stop();
      if (attempt === ATTEMPTS) throw error;
      console.warn(`the object gateway did not start: ${String(error)}`);
    }
  }
}

async function start(directory: string, processes: ServerProcess[], storeBytes: number): Promise<Omit<Rgw, 'stop'>> {
  const ports = { mon: await freePort(), http: await freePort(), https: await freePort() };
  const certificates = await makeCertificates(directory);
  const fsid = randomUUID();
  const conf = join(directory, 'ceph.conf');
  await writeFile(conf, configuration(directory, fsid, ports, { ...certificates, storeBytes }));
  const explain = (): string => processes.map(({ output }) => output).join('\n');
  const run = (program: string, ...words: readonly string[]): Promise<string> =>
    runProgram(program, ['-c', conf, ...words]);
  const daemon = (name: string, program: string, ...words: readonly string[]): void => {
    processes.push(new ServerProcess(name, directory, program, ['-c', conf, ...words, '-f']));
  };

  const keyring = join(directory, 'keyring');
  await makeKeys(keyring);
  const monmap = join(directory, 'monmap');
  await runProgram('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', `v2:127.0.0.1:${ports.mon}`, monmap]);
  await run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', monmap, '--keyring', keyring);
  daemon('mon', 'ceph-mon', '-i', 'a');
  await startOsd(directory, conf);
  daemon('osd', 'ceph-osd', '-i', '0');
  await run('ceph', 'auth', 'add', 'client.rgw.a', '-i', keyring);
  daemon('rgw', 'radosgw', '-n', 'client.rgw.a');

  const endpoint = `http://127.0.0.1:${ports.http}`;
  await until(() => answers(endpoint), { what: 'the object gateway', deadlineMs: START_DEADLINE_MS, explain });
  const admin = (...words: readonly string[]): Promise<string> => run('radosgw-admin', '-n', 'client.rgw.a', ...words);
  const owner = await addUser(admin, 'walden');
  const stranger = await addUser(admin, 'stranger');
  const guest = { ...(await addUser(admin, 'guest')), principal: 'arn:aws:iam:::user/guest' };
  await admin('quota', 'set', '--uid=stranger', '--quota-scope=bucket', '--max-objects=2');
  await admin('quota', 'enable', '--uid=stranger', '--quota-scope=bucket');
  const tlsEndpoint = `https://127.0.0.1:${ports.https}`;
  return { endpoint, tlsEndpoint, caFile: certificates.caFile, ...owner, stranger, guest };
}

async function addUser(admin: (...words: readonly string[]) => Promise<string>, name: string): Promise<S3User> {
  const [accessKey, secretKey] = [randomBytes(10).toString('hex'), randomBytes(20).toString('hex')];
  const keys = [`--access-key=${accessKey}`, `--secret-key=${secretKey}`];
  await admin('user', 'create', `--uid=${name}`, `--display-name=${name}`, ...keys);
  return { accessKey, secretKey };
}

async function makeKeys(keyring: string): Promise<void> {
  const all = (...parts: readonly string[]): readonly string[] => parts.flatMap((part) => ['--cap', part, 'allow *']);
  const keys = [
    ['mon.', ...all('mon')],
    ['client.admin', ...all('mon', 'osd', 'mgr')],
    ['client.rgw.a', '--cap', 'mon', 'allow rw', '--cap', 'osd', 'allow rwx'],
  ] as const;
  await runProgram('ceph-authtool', ['--create-keyring', keyring]);
  for (const [name, ...caps] of keys) await runProgram('ceph-authtool', [keyring, '--gen-key', '-n', name, ...caps]);
}

/** Registers the object daemon with the monitor and makes its store; what is left is to run it. */
async function startOsd(directory: string, conf: string): Promise<void> {
  const uuid = randomUUID();
  const osdKeyring = join(directory, 'osd', 'keyring');
  await runProgram('ceph-authtool', ['--create-keyring', osdKeyring, '--gen-key', '-n', 'osd.0']);
  const key = /key = (\S+)/.exec(await readFile(osdKeyring, 'utf8'))?.[1];
  const secret = JSON.stringify({ cephx_secret: key });
  await runProgram('ceph', ['-c', conf, 'osd', 'new', uuid, '-i', '-'], secret);
  await runProgram('ceph-osd', ['-c', conf, '-i', '0', '--mkfs', '--osd-uuid', uuid]);
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    return (await fetch(endpoint, { signal: AbortSignal.timeout(5000) })).ok;
  } catch {
    // It does not listen yet.
    return false;
  }
}

/**
 * Without cephx the gateway never connects; the paxos settings save seconds of waiting for a quorum of one, and the disk
 * of a test machine may be nearly full.
 */
function configuration(
  directory: string,
  fsid: string,
  ports: { readonly mon: number; readonly http: number; readonly https: number },
  { certificateFile, keyFile, storeBytes }: Certificates & { readonly storeBytes: number },
): string {
  for (const name of ['mon', 'osd', 'run', 'log']) mkdirSync(join(directory, name));
  const tls = `ssl_endpoint=127.0.0.1:${ports.https} ssl_certificate=${certificateFile} ssl_private_key=${keyFile}`;
  return `[global]
fsid = ${fsid}
mon host = v2:127.0.0.1:${ports.mon}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = ${directory}/keyring
run dir = ${directory}/run
admin socket = ${directory}/run/$name.asok
crash dir = ${directory}/run
log file = ${directory}/log/$name.log
mon cluster log file = ${directory}/log/cluster.log
mon data = ${directory}/mon/$id
mon data avail crit = 1
mon data avail warn = 2
mon allow pool size one = true
mon warn on pool no redundancy = false
paxos propose interval = 0.01
paxos min wait = 0.01
osd data = ${directory}/osd
osd objectstore = memstore
memstore device bytes = ${storeBytes}
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
[mon]
keyring = ${directory}/mon/a/keyring
[osd]
keyring = ${directory}/osd/keyring
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:${ports.http} ${tls}
rgw override bucket index max shards = 1
rgw enable usage log = false
`;
}
