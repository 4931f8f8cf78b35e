import { hostname } from 'node:os';
import type { ClusterName } from '../../../catalog/catalog.ts';
import type { NodeRecord } from '../../../catalog/nodes.ts';
import type { ClusterConfig } from '../../config/config.ts';
import { type ConninfoHost, hostsOf } from '../../postgres/conninfo.ts';
import type { Micros } from '../../postgres/timestamp.ts';
import { isHere } from './here.ts';
import { nodeName } from './node-name.ts';

/** A node, and how the configuration reaches it where that names it. */
export interface KnownNode {
  readonly record: NodeRecord;
  /** May hold a password, which the record does not. */
  readonly conninfo: string | undefined;
}

export interface KnownNodes {
  readonly cluster: ClusterName;
  /** In ascending order of name. */
  readonly nodes: readonly KnownNode[];
  /** Of these the catalog does not know, or knows otherwise. */
  readonly changed: readonly NodeRecord[];
  /** Names of nodes that the configuration had once, and nobody else has named. */
  readonly gone: readonly string[];
}

/** A server that the configuration names, and perhaps its data directory on this host. */
interface ConfiguredNode {
  readonly host: string;
  readonly port: number | undefined;
  readonly dataDirectory: string | undefined;
  readonly conninfo: string | undefined;
  readonly shown: string | undefined;
}

/**
 * The nodes of the configuration, with those that the catalog knows: one that is in both is one. `follows`: where an operator
 * has sent the receiver.
 */
export function mergeNodes(
  config: ClusterConfig,
  follows: string | undefined,
  stored: readonly NodeRecord[],
  now: Micros,
): KnownNodes {
  const left = new Map(stored.map((record) => [record.name, record]));
  const taken = new Set(left.keys());
  const nodes: KnownNode[] = [];
  const changed: NodeRecord[] = [];
  for (const node of configuredNodes(config, follows)) {
    const same = [...left.values()].find((record) => isSame(record, node));
    const facts = { host: node.host, dataDirectory: node.dataDirectory, conninfo: node.shown };
    let record = same;
    if (same === undefined) {
      const name = nodeName(
        node.host,
        node.port === undefined ? { dataDirectory: node.dataDirectory ?? '' } : { port: node.port },
        taken,
      );
      record = {
        cluster: config.name,
        name,
        ...facts,
        slot: undefined,
        origin: 'configured',
        registeredAt: now,
        seen: undefined,
      };
    } else if (same.origin === 'configured' && !hasFacts(same, facts)) {
      record = { ...same, ...facts };
    }
    if (record === undefined) continue;
    if (record !== same) changed.push(record);
    left.delete(record.name);
    taken.add(record.name);
    nodes.push({ record, conninfo: node.conninfo });
  }
  const others = [...left.values()].filter(({ origin }) => origin !== 'configured');
  return {
    cluster: config.name,
    nodes: [...nodes, ...others.map((record) => ({ record, conninfo: undefined }))].sort((one, other) =>
      one.record.name < other.record.name ? -1 : 1,
    ),
    changed,
    gone: [...left.values()].filter(({ origin }) => origin === 'configured').map(({ name }) => name),
  };
}

function hasFacts(record: NodeRecord, facts: Pick<NodeRecord, 'host' | 'dataDirectory' | 'conninfo'>): boolean {
  const { host, dataDirectory, conninfo } = record;
  return host === facts.host && dataDirectory === facts.dataDirectory && conninfo === facts.conninfo;
}

/** Whether both are of one data directory, or lead to one port of one host. */
function isSame(record: NodeRecord, node: ConfiguredNode): boolean {
  if (record.host !== node.host) return false;
  const [one, other] = [record.dataDirectory, node.dataDirectory];
  if (one !== undefined && other !== undefined) return one === other;
  return record.conninfo !== undefined && hostsOf(record.conninfo)[0]?.port === node.port;
}

/** `conninfo` first: it is the one for SQL. */
function configuredNodes(config: ClusterConfig, follows: string | undefined): readonly ConfiguredNode[] {
  const { dataDirectory, conninfo, receive, backup } = config;
  const texts = [conninfo, follows, receive?.conninfo, backup.conninfo].filter((text) => text !== undefined);
  const hosts = new Map<string, ConninfoHost>();
  for (const host of texts.flatMap(hostsOf)) {
    const key = `${hostOf(host)} ${host.port}`;
    if (!hosts.has(key)) hosts.set(key, host);
  }
  const nodes = [...hosts.values()];
  // The data directory is that of the first server on this host.
  const own = nodes.find(({ host }) => isHere(host));
  return [
    ...nodes.map((host) => ({
      host: hostOf(host),
      port: host.port,
      dataDirectory: host === own ? dataDirectory : undefined,
      conninfo: host.conninfo,
      shown: host.shown,
    })),
    ...(own === undefined && dataDirectory !== undefined
      ? [{ host: hostname(), port: undefined, dataDirectory, conninfo: undefined, shown: undefined }]
      : []),
  ];
}

export function hostOf({ host }: Pick<ConninfoHost, 'host'>): string {
  return isHere(host) ? hostname() : (host ?? hostname());
}
