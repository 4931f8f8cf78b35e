import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PlannedSetting, planSettings, type Role, type WantedSettings } from '../../../src/setup/plan-settings.ts';
import type { SettingFacts, SetupFacts } from '../../../src/setup/setting-facts.ts';

const ARCHIVE = 'set -- /var/lib/walden/spool/main/script.conf %p; . /opt/walden/bin/walden-push';
const RESTORE =
  'trap "exit 200" EXIT; set -- /var/lib/walden/spool/main/script.conf %f %p; . /opt/walden/bin/walden-fetch';
const WANTED: WantedSettings = {
  ...{ cluster: 'main', archiveCommand: ARCHIVE, restoreCommand: RESTORE },
  ...{ receives: false, streamsBackups: false, replace: false },
};
const RESTARTS = ['wal_level', 'archive_mode', 'max_wal_senders', 'max_replication_slots'];
/** As initdb leaves a server, version 17. */
const FRESH: Readonly<Record<string, string>> = {
  ...{ wal_level: 'replica', archive_mode: 'off', archive_library: '', archive_command: '', archive_timeout: '0' },
  ...{ max_wal_senders: '10', max_replication_slots: '10', restore_command: '', recovery_target_timeline: 'latest' },
  summarize_wal: 'off',
};

function facts(
  values: Readonly<Record<string, string>> = {},
  more: Readonly<Record<string, Partial<SettingFacts>>> = {},
): SetupFacts {
  const settings = Object.entries({ ...FRESH, ...values }).map(([name, value]): [string, SettingFacts] => [
    name,
    {
      ...{ name, value, source: 'configuration file', place: undefined, pendingRestart: false, written: undefined },
      needsRestart: RESTARTS.includes(name),
      ...more[name],
    },
  ]);
  return {
    ...{ majorVersion: 17, inRecovery: false, role: 'postgres', dataDirectory: '/data', configFile: undefined },
    ...{ settings: new Map(settings), notAllowed: new Set(), mayReload: true, otherSenders: 0, otherSlots: 0 },
  };
}

function planned(plan: readonly PlannedSetting[], name: string): PlannedSetting | undefined {
  return plan.find((one) => one.name === name);
}

/** The facts after a plan was carried out and the server restarted. */
function afterwards(before: SetupFacts, plan: readonly PlannedSetting[]): SetupFacts {
  const settings = new Map(before.settings);
  for (const { name, shall, verdict } of plan) {
    const setting = settings.get(name);
    if (setting === undefined || (verdict !== 'change' && verdict !== 'restart')) continue;
    settings.set(name, { ...setting, value: shall, written: shall, pendingRestart: false });
  }
  return { ...before, settings };
}

describe('planning the settings of a server', () => {
  it('has a fresh primary archive, its command before what switches it on', () => {
    const plan = planSettings('primary', facts(), WANTED);
    const changes = plan.filter(({ verdict }) => verdict === 'change').map(({ name, takes }) => [name, takes]);
    expect(changes).toEqual([
      ['archive_command', 'reload'],
      ['archive_mode', 'restart'],
    ]);
    expect(planned(plan, 'archive_timeout')?.verdict).toBe('suggested');
    expect(planned(plan, 'restore_command')).toBeUndefined();
  });

  it('leaves archiving alone where WAL is received, and wants a sender and a slot for it', () => {
    const wanted = { ...WANTED, archiveCommand: undefined, receives: true };
    const few = { ...facts({ max_wal_senders: '3', max_replication_slots: '2' }), otherSenders: 3, otherSlots: 2 };
    const plan = planSettings('primary', few, wanted);
    expect(plan.map(({ name, shall }) => [name, shall])).toEqual([
      ['wal_level', 'replica'],
      ['max_wal_senders', '10'],
      ['max_replication_slots', '10'],
    ]);
  });

  it('takes what throws WAL away, and its own command of another place, for nobody’s', () => {
    for (const command of ['/bin/true', ':', ARCHIVE.replace('/opt', '/srv')]) {
      const plan = planSettings('primary', facts({ archive_command: command }), WANTED);
      expect(planned(plan, 'archive_command')).toMatchObject({ verdict: 'change', shall: ARCHIVE });
    }
  });

  it('refuses to replace a library, or the command of another cluster, unasked', () => {
    const foreign = { archive_library: 'basic_archive', archive_command: ARCHIVE.replace('/main/', '/other/') };
    const verdicts = (replace: boolean): unknown[] =>
      ['archive_library', 'archive_command'].map(
        (name) => planned(planSettings('primary', facts(foreign), { ...WANTED, replace }), name)?.verdict,
      );
    expect(verdicts(false)).toEqual(['refused', 'refused']);
    expect(verdicts(true)).toEqual(['change', 'change']);
  });

  it('tells what waits for a restart from what is to be set', () => {
    const waiting = facts({}, { archive_mode: { pendingRestart: true, written: 'yes' } });
    expect(planned(planSettings('primary', waiting, WANTED), 'archive_mode')?.verdict).toBe('restart');
    const turnedOff = facts({ archive_mode: 'on' }, { archive_mode: { pendingRestart: true, written: 'off' } });
    expect(planned(planSettings('primary', turnedOff, WANTED), 'archive_mode')?.verdict).toBe('change');
  });

  it('does not set what the command line of the server goes before', () => {
    const fixed = facts({}, { archive_mode: { source: 'command line' } });
    expect(planned(planSettings('primary', fixed, WANTED), 'archive_mode')?.verdict).toBe('refused');
  });

  it('has a standby fetch, and follow every timeline', () => {
    const plan = planSettings('standby', facts({ recovery_target_timeline: '1' }), WANTED);
    expect(planned(plan, 'restore_command')).toMatchObject({ verdict: 'change', shall: RESTORE });
    expect(planned(plan, 'recovery_target_timeline')).toMatchObject({ verdict: 'change', shall: 'latest' });
  });

  it('is content once it was carried out, whatever the server was before', () => {
    const value = fc.constantFrom(
      '',
      'on',
      'off',
      'always',
      'minimal',
      'logical',
      '0',
      '1',
      '64',
      '/bin/true',
      ARCHIVE,
    );
    const anyFacts = fc
      .tuple(
        fc.dictionary(fc.constantFrom(...Object.keys(FRESH)), value),
        fc.nat({ max: 20 }),
        fc.nat({ max: 20 }),
        fc.boolean(),
      )
      .map(([values, otherSenders, otherSlots, pendingRestart]): SetupFacts => {
        const waiting = { archive_mode: { pendingRestart, written: pendingRestart ? 'on' : undefined } };
        return { ...facts(values, waiting), otherSenders, otherSlots };
      });
    const wanted = fc.record({
      receives: fc.boolean(),
      streamsBackups: fc.boolean(),
      archiveCommand: fc.constantFrom(ARCHIVE, undefined),
    });
    fc.assert(
      fc.property(anyFacts, wanted, fc.constantFrom<Role>('primary', 'standby'), (before, some, role) => {
        const all = { ...WANTED, ...some, replace: true };
        const plan = planSettings(role, before, all);
        const left = planSettings(role, afterwards(before, plan), all);
        expect(left.filter(({ verdict }) => verdict !== 'ok' && verdict !== 'suggested')).toEqual([]);
      }),
    );
  });
});
