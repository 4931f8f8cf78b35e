import { dirname, join } from 'node:path';
import { DEFAULT_CONFIG_PATH } from '../../config/option-table.ts';

/** Where everything of a new configuration is. */
export interface InitPlaces {
  readonly configFile: string;
  readonly stateDirectory: string;
  readonly socket: string;
  readonly repository: string;
}

/** By default as a package has it; with a configuration elsewhere, beside that. */
export function initPlaces(configFile: string, repository: string | undefined): InitPlaces {
  const isUsual = configFile === DEFAULT_CONFIG_PATH;
  const beside = dirname(configFile);
  const stateDirectory = isUsual ? '/var/lib/walden' : join(beside, 'state');
  return {
    configFile,
    stateDirectory,
    socket: isUsual ? '/run/walden/walden.sock' : join(stateDirectory, 'walden.sock'),
    repository: repository ?? join(isUsual ? stateDirectory : beside, 'repository'),
  };
}

export interface NewCluster {
  readonly name: string;
  readonly dataDirectory: string;
  readonly conninfo: string;
}

/** The text of walden.toml for one cluster and one repository on this host. */
export function configText(
  { stateDirectory, socket, repository }: InitPlaces,
  { name, dataDirectory, conninfo }: NewCluster,
): string {
  return [
    '# Written by walden init. docs/options.md lists every key; walden config check looks for mistakes.',
    '[service]',
    `state_directory = ${tomlText(stateDirectory)}`,
    `socket          = ${tomlText(socket)}`,
    '',
    '[repository.local]',
    'driver = "local"',
    `path   = ${tomlText(repository)}`,
    '',
    `[cluster.${name}]`,
    `data_directory = ${tomlText(dataDirectory)}`,
    `conninfo       = ${tomlText(conninfo)}`,
    'repositories   = ["local"]',
    '',
  ].join('\n');
}

/** A basic string: its escapes are those of JSON. */
function tomlText(text: string): string {
  return JSON.stringify(text).replaceAll('\u007f', String.raw`\u007f`);
}
