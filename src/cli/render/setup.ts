import type { PlannedSetting, Role } from '../../setup/plan-settings.ts';

/** What `walden setup --json` prints. */
export interface SetupDocument {
  readonly cluster: string;
  readonly role: Role;
  readonly majorVersion: number;
  readonly dryRun: boolean;
  readonly settings: readonly {
    readonly name: string;
    readonly is: string;
    readonly shall: string;
    /** `changed` is `change` once it was done. */
    readonly outcome: PlannedSetting['verdict'] | 'changed';
    readonly takes: PlannedSetting['takes'];
    readonly note: string | null;
  }[];
  /** The command that has everything take effect; null: nothing waits for a restart. */
  readonly restart: string | null;
}

export function settingsDocument(settings: readonly PlannedSetting[], wereChanged: boolean): SetupDocument['settings'] {
  return settings.map(({ name, is, shall, takes, verdict, note }) => ({
    ...{ name, is, shall, takes },
    outcome: verdict === 'change' && wereChanged ? 'changed' : verdict,
    note: note ?? null,
  }));
}

export function renderSetup(document: SetupDocument): string {
  const said = renderSettings(document);
  return document.dryRun ? `${said}\nnothing was changed` : said;
}

/** The settings alone, done or still to be done. */
export function renderSettings({ cluster, role, majorVersion, settings, restart, dryRun }: SetupDocument): string {
  return [
    `${cluster}: PostgreSQL ${majorVersion}, ${role}`,
    ...settings.flatMap(settingLines),
    ...(restart === null ? [] : restartLines(settings, restart, dryRun)),
  ].join('\n');
}

function settingLines({ name, is, shall, outcome, takes, note }: SetupDocument['settings'][number]): string[] {
  const word = outcome.padEnd(9);
  const remark = note === null ? [] : [`            ${note}`];
  switch (outcome) {
    case 'ok':
      return [`  ${word} ${name} = ${quoted(is)}`, ...remark];
    case 'refused':
      return [`  ${word} ${name} = ${quoted(is)}`, `            not replaced by: ${quoted(shall)}`, ...remark];
    case 'restart':
      return [`  ${word} ${name}: ${quoted(is)} → ${quoted(shall)}, set before`];
    case 'suggested':
      return [`  ${word} ${name}: ${quoted(is)} → ${quoted(shall)}, left to you`, ...remark];
    case 'change':
    case 'changed':
      return [`  ${word} ${name}: ${quoted(is)} → ${quoted(shall)} (${takes})`, ...remark];
  }
}

function quoted(value: string): string {
  return /^[\w.-]+$/.test(value) ? value : `'${value}'`;
}

function restartLines(settings: SetupDocument['settings'], restart: string, dryRun: boolean): string[] {
  const names = settings
    .filter(({ outcome, takes }) => outcome === 'restart' || (outcome !== 'ok' && takes === 'restart'))
    .filter(({ outcome }) => outcome !== 'suggested' && outcome !== 'refused')
    .map(({ name }) => name);
  return [
    `${dryRun ? 'A restart will be needed' : 'RESTART NEEDED'} for ${names.join(', ')}: a reload is not enough`,
    `  HINT: when it suits: ${restart}`,
  ];
}
