import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { newDirectory, removeDirectory } from '../sandbox.ts';
import { until } from '../until.ts';
import { runProgram, type S3TestServer, ServerProcess, whyNot } from './s3-servers.ts';

/** A real OpenStack Swift that speaks S3 too: a store without conditional requests. One node, one copy. */

const START_DEADLINE_MS = 180_000;
const KINDS = ['account', 'container', 'object'] as const;
const PROGRAMS = [
  'swift-ring-builder',
  'swift-proxy-server',
  ...KINDS.map((kind) => `swift-${kind}-server`),
  'openssl',
];

type Ports = Readonly<Record<(typeof KINDS)[number] | 'proxy', number>>;

export function whyNoSwift(): string | undefined {
  return whyNot(PROGRAMS, 'swift-proxy, swift-account, swift-container and swift-object');
}

export async function startSwift(): Promise<S3TestServer> {
  const directory = newDirectory('swift');
  const processes: ServerProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const one of processes.reverse()) await one.stop();
    removeDirectory(directory);
  };
  try {
    return { ...(await start(directory, processes)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(directory: string, processes: ServerProcess[]): Promise<Omit<S3TestServer, 'stop'>> {
  const ports: Ports = {
    account: await freePort(),
    container: await freePort(),
    object: await freePort(),
    proxy: await freePort(),
  };
  const hash = '[swift-hash]\nswift_hash_path_prefix = walden\nswift_hash_path_suffix = walden\n';
  await writeFile(join(directory, 'swift.conf'), hash);
  mkdirSync(join(directory, 'devices', 'd1'), { recursive: true });
  await makeRings(directory, ports);
  for (const kind of KINDS) {
    await writeFile(join(directory, `${kind}.conf`), storageConfiguration(directory, kind, ports[kind]));
  }
  await writeFile(join(directory, 'proxy.conf'), proxyConfiguration(directory, ports.proxy));
  await writeFile(join(directory, `${CACHE_MODULE}.py`), CACHE);
  const daemon = (name: string, program: string): void => {
    const words = [join(directory, `${name}.conf`), '--verbose'];
    processes.push(new ServerProcess(name, directory, program, words, { PYTHONPATH: directory }));
  };
  for (const kind of KINDS) daemon(kind, `swift-${kind}-server`);
  daemon('proxy', 'swift-proxy-server');

  const endpoint = `http://127.0.0.1:${ports.proxy}`;
  const explain = (): string => processes.map(({ output }) => output).join('\n');
  for (const [what, port] of Object.entries(ports)) {
    await until(() => answers(port), { what, deadlineMs: START_DEADLINE_MS, explain });
  }
  return { endpoint, accessKey: 'test:tester', secretKey: 'testing' };
}

/** What swift-ring-builder does, but in one process: each takes seconds to start. */
const RING_BUILDER = `
import sys
from swift.common.ring import RingBuilder
for kind, port in (argument.split(':') for argument in sys.argv[2:]):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': int(port), 'device': 'd1', 'weight': 1})
    builder.rebalance()
    builder.get_ring().save(sys.argv[1] + '/' + kind + '.ring.gz')
`;

async function makeRings(directory: string, ports: Ports): Promise<void> {
  await runProgram('python3', ['-c', RING_BUILDER, directory, ...KINDS.map((kind) => `${kind}:${ports[kind]}`)]);
}

/**
 * Stands for the memcached that a Swift has beside it: without one, the proxy asks for account and container again at each
 * request.
 */
const CACHE_MODULE = 'cache_of_proxy';
const CACHE = `
import json
from time import time as now

class Cache(object):
    def __init__(self):
        self.items = {}

    def get(self, key, raise_on_error=False):
        text, until = self.items.get(key, ('null', 0))
        return json.loads(text) if until == 0 or now() < until else None

    def set(self, key, value, serialize=True, time=0, min_compress_len=0, raise_on_error=False):
        self.items[key] = (json.dumps(value), now() + time if time else 0)

    def delete(self, key, server_key=None):
        self.items.pop(key, None)

def filter_factory(global_conf, **local_conf):
    cache = Cache()
    def cached(app):
        def answer(env, start_response):
            env['swift.cache'] = cache
            return app(env, start_response)
        return answer
    return cached
`;

/** Whatever it says: that it answers is enough. */
async function answers(port: number): Promise<boolean> {
  try {
    await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5000) });
    return true;
  } catch {
    // It does not listen yet.
    return false;
  }
}

/** Without workers each server is one process, which can be killed as one. */
function storageConfiguration(directory: string, kind: string, port: number): string {
  return `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
workers = 0
user = ${userInfo().username}
swift_dir = ${directory}
devices = ${directory}/devices
mount_check = false
fallocate_reserve = 0
log_address = ${directory}/log
recon_cache_path = ${directory}
[pipeline:main]
pipeline = ${kind}-server
[app:${kind}-server]
use = egg:swift#${kind}
`;
}

/** The order of the pipeline matters, and versions of objects need symlinks. */
function proxyConfiguration(directory: string, port: number): string {
  const filters = ['catch_errors', 'cache', 'listing_formats', 'bulk', 's3api', 'tempauth', 'slo', 'dlo'];
  const more = ['versioned_writes', 'symlink'];
  const eggs = [...filters, ...more].map((name) => {
    const program =
      name === 'cache' ? `paste.filter_factory = ${CACHE_MODULE}:filter_factory` : `use = egg:swift#${name}`;
    return `[filter:${name}]\n${program}\n${FILTER_SETTINGS[name] ?? ''}`;
  });
  return `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
workers = 0
user = ${userInfo().username}
swift_dir = ${directory}
log_address = ${directory}/log
[pipeline:main]
pipeline = ${[...filters, ...more].join(' ')} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
${eggs.join('')}`;
}

const FILTER_SETTINGS: Readonly<Record<string, string>> = {
  s3api: 's3_acl = false\nauth_pipeline_check = false\n',
  tempauth: 'user_test_tester = testing .admin .reseller_admin\n',
  versioned_writes: 'allow_versioned_writes = true\nallow_object_versioning = true\n',
};
