import type { ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import type { CheckedSection } from './check-sections.ts';
import type { ClusterConfig, RetentionConfig } from './config.ts';
import { type ConfigProblems, didYouMean } from './problems.ts';

type Section = CheckedSection<'retention'>;
type Clusters = ReadonlyMap<ClusterName, ClusterConfig>;

/** What each keeps apart from others; `wal_window` alone would keep nothing. */
const RULES = [
  'recovery_window',
  'minimum_backups',
  'keep_daily',
  'keep_weekly',
  'keep_monthly',
  'keep_yearly',
] as const;

/** The sections `[retention.NAME]`, each with the repositories that it holds for. What is wrong with one leaves it out. */
export function checkRetention(
  sections: readonly Section[],
  clusters: Clusters,
  problems: ConfigProblems,
): readonly RetentionConfig[] {
  const known = sections.filter((section) => {
    checkRules(section, problems);
    return checkNames(section, clusters, problems);
  });
  const named = (cluster: string): readonly string[] =>
    known.filter(({ values }) => values.cluster === cluster).flatMap(({ values }) => values.repositories ?? []);
  const retention: RetentionConfig[] = [];
  for (const section of known) {
    const { values, name } = section;
    const cluster = values.cluster as ClusterName;
    const all = clusters.get(cluster)?.repositories ?? [];
    const others = named(cluster);
    const repositories = (values.repositories ??
      all.filter((one) => !others.includes(one))) as readonly RepositoryName[];
    for (const other of retention.filter((one) => one.cluster === cluster)) {
      const both = repositories.filter((one) => other.repositories.includes(one));
      if (both.length === 0) continue;
      const fact = `[retention.${other.name}] holds for ${both.join(', ')} of cluster ${cluster} too`;
      problems.add(section.lineOf('repositories'), `retention.${name}.repositories`, fact);
    }
    retention.push({ name, cluster, repositories, policy: policyOf(section) });
  }
  return retention;
}

function policyOf({ values }: Section): RetentionConfig['policy'] {
  return {
    recoveryWindowSeconds: values.recovery_window,
    minimumBackups: values.minimum_backups,
    keepDaily: values.keep_daily,
    keepWeekly: values.keep_weekly,
    keepMonthly: values.keep_monthly,
    keepYearly: values.keep_yearly,
    walWindowSeconds: values.wal_window,
  };
}

function checkRules(section: Section, problems: ConfigProblems): void {
  const { values, name, line } = section;
  if (RULES.every((rule) => values[rule] === undefined)) {
    problems.add(line, `retention.${name}`, `keeps nothing: at least one of ${RULES.join(', ')} must be given`);
  }
  const { wal_window: wal, recovery_window: window } = values;
  if (wal === undefined || window === undefined || wal >= window) return;
  const fact = 'is shorter than recovery_window, which promises that every moment of it can be reached';
  problems.add(section.lineOf('wal_window'), `retention.${name}.wal_window`, fact);
}

/** Whether the cluster and its repositories are known. */
function checkNames(section: Section, clusters: Clusters, problems: ConfigProblems): boolean {
  const { values, name } = section;
  const cluster = clusters.get(values.cluster as ClusterName);
  if (cluster === undefined) {
    const fact = `there is no section [cluster.${values.cluster}]${didYouMean(values.cluster, [...clusters.keys()])}`;
    problems.add(section.lineOf('cluster'), `retention.${name}.cluster`, fact);
    return false;
  }
  const strange = (values.repositories ?? []).filter((one) => !cluster.repositories.includes(one as RepositoryName));
  for (const one of strange) {
    const fact = `${one} is not among the repositories of cluster ${cluster.name}${didYouMean(one, cluster.repositories)}`;
    problems.add(section.lineOf('repositories'), `retention.${name}.repositories`, fact);
  }
  return strange.length === 0;
}
