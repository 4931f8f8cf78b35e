import type { PlannedSetting } from '../../setup/plan-settings.ts';
import { type Check, failed, ok, valueOf } from './facts.ts';

/** What `walden setup` would say. What it only suggests is no reason to wake anybody. */
export const checkSettings: Check = ({ server, config }) => {
  const found = valueOf(server);
  if (found === undefined) return [];
  const { setup, restart } = found;
  const wrong = setup.settings.filter(({ verdict }) => verdict === 'change' || verdict === 'refused');
  const waiting = setup.settings.filter(({ verdict }) => verdict === 'restart');
  const names = (settings: readonly PlannedSetting[]): string => settings.map(({ name }) => name).join(', ');
  return [
    ...wrong.map(({ name, is, shall, verdict, note }) =>
      failed(
        'settings',
        `${name} is ${JSON.stringify(is)}, and has to be ${JSON.stringify(shall)}`,
        verdict === 'refused' && note !== undefined ? note : `walden setup ${config.name} --role ${setup.role}`,
      ),
    ),
    ...(waiting.length === 0
      ? []
      : [failed('settings', `${names(waiting)}: set, and not in effect`, restart ?? 'restart PostgreSQL')]),
    ...(wrong.length + waiting.length === 0
      ? [ok('settings', names(setup.settings.filter(({ verdict }) => verdict === 'ok')))]
      : []),
  ];
};
