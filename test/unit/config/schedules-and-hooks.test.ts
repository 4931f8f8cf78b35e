import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { newDirectory } from '../../support/sandbox.ts';

const MAIN = `[repository.local]
driver = "local"
path = "/r"
[cluster.main]
data_directory = "/d"
conninfo = "host=/tmp"
repositories = ["local"]
`;
const SERVICE = '[service]\nstate_directory = "/s"\nsocket = "/run/s"\n';

async function load(lines: string, service = ''): Promise<Config> {
  const path = join(newDirectory('config'), 'walden.toml');
  writeFileSync(path, `${SERVICE}${service}\n${MAIN}${lines}\n`);
  return await loadConfig({ path });
}

const SCHEDULE = { cluster: '"main"', job: '"backup"', cron: '"30 2 * * 0"' };
function schedule(change: Record<string, string> = {}): string {
  const lines = Object.entries({ ...SCHEDULE, ...change }).map(([key, value]) => `${key} = ${value}`);
  return `[schedule.weekly]\n${lines.join('\n')}`;
}

describe('the configuration of schedules', () => {
  it('fills in UTC, no jitter and a window of six hours', async () => {
    expect((await load(schedule())).schedules).toEqual([
      {
        ...{ name: 'weekly', cluster: 'main', job: 'backup', cron: '30 2 * * 0', timeZone: 'UTC' },
        ...{ jitterSeconds: 0, windowSeconds: 21_600 },
      },
    ]);
    const given = { time_zone: '"Europe/Berlin"', jitter: '"10 minutes"', window: '"1 hour"' };
    expect((await load(schedule(given))).schedules).toMatchObject([
      { timeZone: 'Europe/Berlin', jitterSeconds: 600, windowSeconds: 3600 },
    ]);
  });

  it.each([
    [{ cron: '"30 2 * *"' }, 'schedule.weekly.cron: "30 2 * *" is no cron expression'],
    [{ cron: '"61 2 * * *"' }, 'schedule.weekly.cron: "61 2 * * *" is no cron expression'],
    [{ cron: '"0 0 31 2 *"' }, 'schedule.weekly.cron: "0 0 31 2 *" never comes'],
    [{ time_zone: '"Mars/Olympus"' }, 'schedule.weekly.time_zone: "Mars/Olympus" is not a time zone'],
    [{ cluster: '"maim"' }, 'schedule.weekly.cluster: there is no section [cluster.maim] (did you mean "main"?)'],
    [{ job: '"bakcup"' }, 'schedule.weekly.job: "bakcup" is not one of'],
    [{ job: '"incremental-backup"' }, 'schedule.weekly.job: incremental backups need backup_source = "stream"'],
    [{ window: '"6 weeks"' }, 'schedule.weekly.window: must be like "6 hours"'],
  ])('refuses %o', async (change, message) => {
    await expect(load(schedule(change))).rejects.toThrow(message);
  });
});

describe('the configuration of hooks', () => {
  it('takes a command or a webhook', async () => {
    const { hooks } = await load(
      `[hook.a]\non = ["backup", "gap"]\ncommand = ["/bin/x", "-a", "-a", ""]\ntimeout = "5s"\n[hook.b]\non = ["failure"]\nwebhook = "https://h/x"\nsecret_file = "/k"`,
    );
    expect(hooks).toEqual([
      {
        ...{ name: 'a', on: ['backup', 'gap'], timeoutSeconds: 5 },
        target: { kind: 'command', program: '/bin/x', words: ['-a', '-a', ''] },
      },
      {
        ...{ name: 'b', on: ['failure'], timeoutSeconds: 30 },
        target: { kind: 'webhook', url: 'https://h/x', secretFile: '/k' },
      },
    ]);
  });

  it.each([
    ['on = ["gap"]', 'either command or webhook must be there'],
    ['on = ["gap"]\ncommand = ["/x"]\nwebhook = "https://h"', 'either command or webhook must be there'],
    ['on = ["gap"]\ncommand = ["x"]', 'an absolute path first'],
    ['on = ["gap"]\ncommand = ["/x"]\nsecret_file = "/k"', 'it needs webhook'],
    ['on = ["gap"]\nwebhook = "http://elsewhere/x"', 'http:// on this host only'],
    ['on = ["gaps"]\ncommand = ["/x"]', '"gaps" is not one of'],
  ])('refuses %j', async (lines, message) => {
    await expect(load(`[hook.a]\n${lines}`)).rejects.toThrow(message);
  });
});

describe('the configuration of metrics', () => {
  it('listens on loopback without a token, and elsewhere with one', async () => {
    const listening = async (service: string) => (await load('', service)).service.metrics;
    expect(await listening('')).toBeUndefined();
    expect(await listening('metrics_listen = "127.0.0.1:9187"')).toMatchObject({ host: '127.0.0.1', port: 9187 });
    expect(await listening('metrics_listen = "[::1]:9187"')).toMatchObject({ host: '::1' });
    expect(await listening('metrics_listen = "0.0.0.0:9187"\nmetrics_token_file = "/t"')).toEqual({
      ...{ host: '0.0.0.0', port: 9187, tokenFile: '/t' },
    });
  });

  it.each([
    ['metrics_listen = "0.0.0.0:9187"', 'that needs metrics_token_file'],
    ['metrics_listen = "[::]:9187"', 'that needs metrics_token_file'],
    ['metrics_listen = "127.0.0.1"', 'must be like'],
    ['metrics_listen = "127.0.0.1:70000"', 'must be like'],
    ['metrics_listen = "127.1:9187"', 'must be like'],
    ['metrics_listen = "localhost:9187"', 'must be like'],
    ['metrics_token_file = "/t"', 'it needs metrics_listen'],
  ])('refuses %j', async (service, message) => {
    await expect(load('', service)).rejects.toThrow(message);
  });
});
