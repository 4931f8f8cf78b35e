import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';
import type { Watch } from '../watch/watch.ts';
import { CLUSTER_GAUGES } from './cluster-gauges.ts';
import { registerGauges } from './metric.ts';
import { type MeasuredService, SERVICE_GAUGES } from './service-gauges.ts';

const CALL_SECONDS = [0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30, 120];

/**
 * What Prometheus is told. All of it is in memory: a scrape asks neither the catalog nor a repository, and never waits for
 * archiving, nor archiving for it.
 */
export function createMetrics(service: MeasuredService, watch: Watch): Registry {
  const { deps, events, clusters } = service.rooms;
  const registry = new Registry();
  registerGauges(registry, SERVICE_GAUGES, () => [service]);
  registerGauges(registry, CLUSTER_GAUGES, () => watch.looks);
  const archived = new Counter({
    name: 'walden_wal_archived_files_total',
    help: 'WAL files that were archived, or found to be, since the service began',
    labelNames: ['cluster'],
    registers: [],
    collect() {
      this.reset();
      for (const room of clusters.values()) this.inc({ cluster: room.config.name }, room.archivedFiles);
    },
  });
  registry.registerMetric(archived);
  const jobs = new Counter({
    name: 'walden_jobs_total',
    help: 'Jobs that have ended since the service began, by how',
    labelNames: ['kind', 'cluster', 'state'],
    registers: [registry],
  });
  // Those that alerts are made of begin at nought: the first failure is an increase then.
  for (const cluster of clusters.keys())
    for (const state of ['done', 'failed']) jobs.inc({ kind: 'backup', cluster, state }, 0);
  const told = new Counter({
    name: 'walden_events_total',
    help: 'Events since the service began',
    labelNames: ['kind', 'level'],
    registers: [registry],
  });
  for (const kind of ['schedule-missed', 'hook-failed']) told.inc({ kind, level: 'error' }, 0);
  events.listen(({ kind, level, cluster, facts }) => {
    told.inc({ kind, level });
    if (!kind.startsWith('job-')) return;
    jobs.inc({ kind: String(facts['jobKind']), cluster: cluster ?? '', state: kind.slice('job-'.length) });
  });
  const calls = new Histogram({
    name: 'walden_repository_operation_seconds',
    help: 'How long calls to the repository took: a get until its first byte, a list until its last page',
    labelNames: ['repository', 'operation'],
    buckets: CALL_SECONDS,
    registers: [registry],
  });
  const failures = new Counter({
    name: 'walden_repository_errors_total',
    help: 'Calls to the repository that failed, by code; what is not there is an answer too (STORAGE_OBJECT_MISSING)',
    labelNames: ['repository', 'operation', 'code'],
    registers: [registry],
  });
  for (const { name: repository, health } of deps.repositories.values()) {
    health?.listen(({ operation, milliseconds, error }) => {
      calls.observe({ repository, operation }, milliseconds / 1000);
      if (error !== undefined) failures.inc({ repository, operation, code: error.code });
    });
  }
  // Milliseconds, and so often is an idle service woken for it; by default, a hundred times a second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  return registry;
}
