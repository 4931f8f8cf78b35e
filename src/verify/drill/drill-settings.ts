/** Where the files of a drill's server are. */
export interface DrillPlaces {
  readonly dataDirectory: string;
  readonly socketDirectory: string;
  readonly hbaFile: string;
  readonly identFile: string;
}

/**
 * What a drill's server is told on its command line, over everything that its configuration says. Pure.
 *
 * Nobody outside can reach it, and it reaches nobody: no archiving, no replication, and no background worker
 * (max_worker_processes = 0 keeps subscriptions from connecting to their publishers and schedulers from running jobs). Without
 * hot_standby it takes connections only when recovery has ended, and needs none of the primary's limits before
 * (CheckRequiredParameterValues). Memory as on a small host: the primary may have much more of it.
 */
export function drillSettings(
  { dataDirectory, socketDirectory, hbaFile, identFile }: DrillPlaces,
  majorVersion: number,
): readonly (readonly [name: string, value: string])[] {
  return [
    // A configuration that names another one would have this server work there.
    ['data_directory', dataDirectory],
    ['hba_file', hbaFile],
    ['ident_file', identFile],
    ['external_pid_file', ''],
    ['listen_addresses', ''],
    ['unix_socket_directories', socketDirectory],
    ['unix_socket_permissions', '0700'],
    ['unix_socket_group', ''],
    ['port', '5432'],
    ['ssl', 'off'],
    ['archive_mode', 'off'],
    ['hot_standby', 'off'],
    ['max_worker_processes', '0'],
    ['autovacuum', 'off'],
    ['restart_after_crash', 'off'],
    ['shared_buffers', '128MB'],
    ['huge_pages', 'off'],
    ['logging_collector', 'off'],
    ['log_destination', 'stderr'],
    ['log_min_messages', 'warning'],
    // How far it is, is counted in its log.
    ['lc_messages', 'C'],
    ...(majorVersion >= 17 ? [['event_triggers', 'off'] as const] : []),
  ];
}
