import { describe, expect, it } from 'vitest';
import { restartCommand } from '../../../src/setup/restart-command.ts';

const FACTS = { dataDirectory: '/srv/pg data', configFile: undefined, unit: undefined, programs: '/usr/lib/pg/bin' };

describe('the command that restarts a server', () => {
  it.each([
    [{ unit: 'postgresql@17-main.service' }, 'systemctl restart postgresql@17-main.service'],
    [{ configFile: '/etc/postgresql/17/main/postgresql.conf' }, 'pg_ctlcluster 17 main restart'],
    [{ configFile: '/srv/pg data/postgresql.conf' }, "/usr/lib/pg/bin/pg_ctl -D '/srv/pg data' restart"],
    [{ programs: undefined }, "pg_ctl -D '/srv/pg data' restart"],
  ])('is that of whatever started it: %j', (facts, command) => {
    expect(restartCommand({ ...FACTS, ...facts })).toBe(command);
  });
});
