import { durationForm } from './check-option.ts';
import { CONFIG_FLAG, CONFIG_VARIABLE, DEFAULT_CONFIG_PATH, LOG_LEVEL_VARIABLE, SECTIONS } from './option-table.ts';
import type { Option, Options, Section } from './option.ts';

const EXAMPLE = `[service]
state_directory = "/var/lib/walden"
socket = "/run/walden/walden.sock"

[repository.local]
driver = "local"
path = "/var/lib/walden/repository"

[cluster.main]
data_directory = "/var/lib/postgresql/15/main"
conninfo = "host=/var/run/postgresql port=5432 user=postgres"
repositories = ["local"]
`;

/** docs/options.md, from the table. */
export function optionsDocument(): string {
  return [
    '# Options',
    '',
    'Made by `npm run docs` from `src/config/option-table.ts`; a test keeps it up to date.',
    '',
    `Walden reads one TOML file: the one that \`${CONFIG_FLAG} FILE\` names, else the environment variable`,
    `\`${CONFIG_VARIABLE}\`, else \`${DEFAULT_CONFIG_PATH}\`. Unknown keys, wrong types and relative paths are refused with`,
    'the file, the line and the key; `walden config check` also looks whether the directories are there.',
    '',
    'The smallest useful file:',
    '',
    '```toml',
    `${EXAMPLE}\`\`\``,
    '',
    'Names of repositories, clusters, schedules and hooks have 1 to 63 of `a-z`, `0-9`, `_` and `-`, and begin with a letter or a digit.',
    '',
    ...Object.entries<Section>(SECTIONS).flatMap(([kind, section]) => sectionLines(kind, section)),
    '## Environment',
    '',
    `- \`${CONFIG_VARIABLE}\`: the configuration file, where \`${CONFIG_FLAG}\` is not given.`,
    `- \`${LOG_LEVEL_VARIABLE}\`: how much the service logs: \`debug\`, \`info\` (the default), \`warn\` or \`error\`.`,
    '',
  ].join('\n');
}

function sectionLines(kind: string, section: Section): string[] {
  const title = section.named ? `${kind}.NAME` : kind;
  return [
    `## [${title}]`,
    '',
    section.doc,
    '',
    ...optionLines(section.options),
    ...Object.entries(section.variants?.of ?? {}).flatMap(([value, variant]) => [
      `## [${title}] with ${section.variants?.by ?? ''} = "${value}"`,
      '',
      variant.doc,
      '',
      ...optionLines(variant.options),
    ]),
  ];
}

function optionLines(options: Options): string[] {
  return Object.entries(options).flatMap(([key, option]) => [
    `### ${key}`,
    '',
    option.doc,
    '',
    `- Value: ${valueWords(option)}`,
    `- ${option.required ? 'Required.' : `Default: ${defaultWords(option)}`}`,
    '',
  ]);
}

function valueWords(option: Option): string {
  switch (option.type) {
    case 'path':
      return option.maxBytes === undefined
        ? 'an absolute path'
        : `an absolute path of at most ${option.maxBytes} bytes`;
    case 'text':
      return 'text';
    case 'choice':
      return option.choices.map((choice) => `\`"${choice}"\``).join(' or ');
    case 'integer': {
      const range = `a whole number from ${option.minimum} to ${option.maximum}`;
      return option.unit === undefined ? range : `${range}, in ${option.unit}`;
    }
    case 'names':
      return 'a list of names';
    case 'choices':
      return `a list of ${option.choices.map((choice) => `\`"${choice}"\``).join(', ')}`;
    case 'command':
      return 'a list of words: the absolute path of a program and its arguments';
    case 'switch':
      return '`true` or `false`';
    case 'lock':
      return 'text like `"compliance 14 days"`: `compliance` or `governance`, and a number of days, weeks or years';
    case 'duration':
      return `text ${durationForm(option)}`;
  }
}

function defaultWords(option: Option): string {
  if (option.default === undefined) return 'none';
  return typeof option.default === 'number' ? `\`${option.default}\`` : option.default.words;
}
