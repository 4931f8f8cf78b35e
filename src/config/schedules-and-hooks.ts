import type { ClusterName } from '../../catalog/catalog.ts';
import { scheduleOrHookName } from '../repository/names.ts';
import { checkedName, type CheckedSection, type CheckedSections } from './check-sections.ts';
import type { CommandTarget, Config, HookConfig, ScheduleConfig, WebhookTarget } from './config.ts';
import { checkCron } from './cron.ts';
import { metricsListenConfig } from './metrics-listen.ts';
import type { ConfigProblems } from './problems.ts';
import { didYouMean } from './problems.ts';

const WINDOW_SECONDS = 6 * 3600;
const BYTES_OF_GB = 1_000_000_000;
const HOOK_TIMEOUT_SECONDS = 30;
/** Where a secret in the clear does not leave the host. */
const THIS_HOST = ['localhost', '127.0.0.1', '[::1]'];

/** What the service does by itself, and tells others. */
export function withSchedulesAndHooks(config: Config, sections: CheckedSections, problems: ConfigProblems): Config {
  const { service } = sections;
  const metrics = service === undefined ? undefined : metricsListenConfig(service, problems);
  return {
    ...config,
    service: { ...config.service, metrics },
    schedules: scheduleConfigs(sections, problems),
    hooks: hookConfigs(sections, problems),
  };
}

/** In the order of the file. */
function scheduleConfigs(
  { schedules, clusters, clusterNames }: CheckedSections,
  problems: ConfigProblems,
): ScheduleConfig[] {
  return schedules.flatMap((section) => {
    const { values } = section;
    checkCron(section, problems);
    if (!clusterNames.has(values.cluster)) {
      const fact = `there is no section [cluster.${values.cluster}]${didYouMean(values.cluster, clusterNames)}`;
      problems.add(section.lineOf('cluster'), `schedule.${section.name}.cluster`, fact);
    }
    const source = clusters.find(({ name }) => name === values.cluster)?.values.backup_source;
    if (values.job === 'incremental-backup' && clusterNames.has(values.cluster) && source !== 'stream') {
      const fact = `incremental backups need backup_source = "stream" in [cluster.${values.cluster}]`;
      problems.add(section.lineOf('job'), `schedule.${section.name}.job`, fact);
    }
    if (values.budget !== undefined && values.job !== 'verify') {
      problems.add(section.lineOf('budget'), `schedule.${section.name}.budget`, 'only a verification has a budget');
    }
    const name = checkedName(scheduleOrHookName, section, problems);
    if (name === undefined) return [];
    return [
      {
        name,
        // Looked up above among names that `clusterName` accepts.
        cluster: values.cluster as ClusterName,
        job: values.job,
        cron: values.cron,
        timeZone: values.time_zone ?? 'UTC',
        jitterSeconds: values.jitter ?? 0,
        windowSeconds: values.window ?? WINDOW_SECONDS,
        budgetBytes: values.budget === undefined ? undefined : values.budget * BYTES_OF_GB,
      },
    ];
  });
}

/** In the order of the file. */
function hookConfigs({ hooks }: CheckedSections, problems: ConfigProblems): HookConfig[] {
  return hooks.flatMap((section) => {
    const name = checkedName(scheduleOrHookName, section, problems);
    const target = targetOf(section, problems);
    if (name === undefined || target === undefined) return [];
    const { on, timeout } = section.values;
    return [{ name, on, target, timeoutSeconds: timeout ?? HOOK_TIMEOUT_SECONDS }];
  });
}

function targetOf(
  section: CheckedSection<'hook'>,
  problems: ConfigProblems,
): CommandTarget | WebhookTarget | undefined {
  const { command, webhook, secret_file: secretFile } = section.values;
  const refuse = (key: 'command' | 'webhook' | 'secret_file', fact: string): void => {
    problems.add(section.lineOf(key), `hook.${section.name}.${key}`, fact);
  };
  if ((command === undefined) === (webhook === undefined)) {
    refuse('command', 'either command or webhook must be there, and not both');
    return undefined;
  }
  if (webhook === undefined) {
    if (secretFile !== undefined) refuse('secret_file', 'means nothing here: it needs webhook');
    const [program = '', ...words] = command ?? [];
    return { kind: 'command', program, words };
  }
  if (!isUsableUrl(webhook)) {
    refuse('webhook', 'must be a URL like "https://example.org/hook"; http:// on this host only');
  }
  return { kind: 'webhook', url: webhook, secretFile };
}

function isUsableUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && THIS_HOST.includes(hostname));
}
