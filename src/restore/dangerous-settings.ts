import { isAbsolute } from 'node:path';
import { type ConfLine, parseConf } from './conf-text.ts';

/** What the configuration of a restored directory says that belongs to the place it came from. */
export interface RestoredConfiguration {
  readonly dataDirectory: string;
  readonly majorVersion: number;
  /** undefined when the backup holds none: Debian keeps it below /etc/postgresql. */
  readonly postgresqlConf: string | undefined;
  readonly autoConf: string;
}

/** Always of the place, whatever the path. */
const PLACES: ReadonlySet<string> = new Set(['unix_socket_directories']);

/** Harmless while relative: PostgreSQL resolves them from the data directory. */
const PATHS: ReadonlySet<string> = new Set([
  'data_directory',
  'config_file',
  'hba_file',
  'ident_file',
  'external_pid_file',
  'ssl_cert_file',
  'ssl_key_file',
  'ssl_ca_file',
  'ssl_crl_file',
  'ssl_crl_dir',
  'ssl_dh_params_file',
  'krb_server_keyfile',
  'log_directory',
  'stats_temp_directory',
  'include',
  'include_dir',
  'include_if_exists',
]);

/** One sentence for the operator per danger, in the order of the files. */
export function dangerousSettings(configuration: RestoredConfiguration): readonly string[] {
  const { postgresqlConf, autoConf } = configuration;
  const missing = postgresqlConf === undefined ? [missingConf(configuration)] : [];
  return [
    ...missing,
    ...parseConf(postgresqlConf ?? '').flatMap((line) => warn(line, 'postgresql.conf')),
    ...parseConf(autoConf).flatMap((line) => warn(line, 'postgresql.auto.conf')),
  ];
}

function warn({ name, value }: ConfLine, file: string): readonly string[] {
  if (name === undefined || value === '') return [];
  if (PLACES.has(name) || (PATHS.has(name) && isAbsolute(value))) {
    return [`${name} = '${value}' in ${file} is of the place that the backup came from: check it before you start`];
  }
  if (name === 'shared_preload_libraries' && /\bpg_cron\b/.test(value)) {
    return [`pg_cron is preloaded by ${file}: its jobs run in the restored server too once it takes writes`];
  }
  return [];
}

function missingConf({ dataDirectory, majorVersion }: RestoredConfiguration): string {
  return (
    'the backup holds no postgresql.conf (Debian keeps it outside of the data directory): copy postgresql.conf, ' +
    `pg_hba.conf and pg_ident.conf from /etc/postgresql/${majorVersion}/… into ${dataDirectory} and remove their ` +
    'data_directory, hba_file and ident_file, or start with -c config_file=… -c data_directory=…'
  );
}
