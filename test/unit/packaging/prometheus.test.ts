import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { projectDirectory } from '../../support/project.ts';
import { newDirectory } from '../../support/sandbox.ts';

const RULES = join(projectDirectory, 'packaging/prometheus/walden.rules.yml');
const DASHBOARD = join(projectDirectory, 'packaging/grafana/walden.json');
const isMissing = spawnSync('promtool', ['--version'], { stdio: 'ignore' }).status !== 0;

/** Of each alert: a series as Walden tells it while all is well, and one that has it fire. A value for every ten minutes. */
const CASES: Readonly<Record<string, readonly [series: string, well: string, bad: string]>> = {
  WaldenDown: ['up{job="walden"}', '1x150', '0x150'],
  WaldenNotRecoverable: ['walden_backups', '1x150', '0x150'],
  // The clock of a test begins at 0.
  WaldenBackupTooOld: ['walden_backup_last_success_timestamp_seconds', '90000x400', '0x400'],
  WaldenBackupFailed: ['walden_jobs_total{kind="backup",state="failed"}', '0x150', '0x100 1x50'],
  WaldenDamagedObjects: ['walden_damaged_objects', '0x150', '1x150'],
  WaldenCorruptPages: ['walden_backup_last_corrupt_pages', '0x150', '1x150'],
  WaldenArchivingStuck: ['walden_wal_archive_lag_seconds', '60x150', '901x150'],
  WaldenWalRefused: ['walden_wal_refused_files', '0x150', '1x150'],
  WaldenSecondWriter: ['walden_wal_second_writers', '0x150', '1x150'],
  WaldenWalGap: ['walden_wal_gap_segments', '0x150', '1x150'],
  WaldenReceiverDown: ['walden_receiver_streaming', '1x150', '0x150'],
  WaldenReceiverBehind: ['walden_receiver_lag_seconds', '1x150', '601x150'],
  WaldenRepositoryAway: ['walden_repository_up', '1x150', '0x150'],
  WaldenRepositoryBehind: ['walden_repository_behind_files', '100x150', '101x150'],
  WaldenSpoolFull: ['walden_spool_free_bytes', '2000000000x150', '1999999999x150'],
  WaldenScheduleMissed: ['walden_events_total{kind="schedule-missed"}', '0x150', '0x100 1x50'],
  WaldenHookFailed: ['walden_events_total{kind="hook-failed"}', '0x150', '0x100 1x50'],
  WaldenCatalogIncomplete: ['walden_catalog_incomplete', '0x150', '1x150'],
  WaldenNotLooking: ['walden_last_look_timestamp_seconds', '90000+600x150', '0x150'],
};
/** Minutes; two days and a little for the one that waits that long. */
const AT: Readonly<Record<string, number>> = { WaldenBackupTooOld: 2900 };

function promtool(...words: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync('promtool', words, { encoding: 'utf8' });
  return status === 0 ? '' : `${stdout}${stderr}`;
}

/** JSON is YAML too. */
function written(document: unknown): string {
  const file = join(newDirectory('prometheus'), 'document.yml');
  writeFileSync(file, JSON.stringify(document));
  return file;
}

function firing(alert: string, series: string, values: string, expected: number): object {
  return {
    interval: '10m',
    input_series: [{ series, values: values.replace(/^([\d.]+)x/, '$1+0x').replaceAll(/ ([\d.]+)x/g, ' $1+0x') }],
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
        eval_time: `${AT[alert] ?? 1100}m`,
        exp_samples: expected === 0 ? [] : [{ labels: '{}', value: expected }],
      },
    ],
  };
}

describe.skipIf(isMissing)(isMissing ? 'needs promtool: apt-get install prometheus' : 'for Prometheus', () => {
  it('the rules are understood', () => {
    expect(promtool('check', 'rules', RULES)).toBe('');
  });

  it('there is a case for each rule', () => {
    const { groups } = parse(readFileSync(RULES, 'utf8')) as { groups: readonly { rules: { alert: string }[] }[] };
    expect(groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)).sort()).toEqual(Object.keys(CASES).sort());
  });

  it.each(Object.entries(CASES))('%s fires when it should, and only then', (alert, [series, well, bad]) => {
    const tests = [firing(alert, series, well, 0), firing(alert, series, bad, 1)];
    expect(promtool('test', 'rules', written({ rule_files: [RULES], evaluation_interval: '10m', tests }))).toBe('');
  });

  it('what the dashboard asks is understood', () => {
    const { panels } = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as {
      readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
    };
    const asked = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr.replaceAll('$cluster', 'main')));
    const rules = asked.map((expr, index) => ({ record: `panel:${index}`, expr }));
    expect(promtool('check', 'rules', written({ groups: [{ name: 'panels', rules }] }))).toBe('');
  });
});
