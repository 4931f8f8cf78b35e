/** What a base backup over the protocol is asked for. */
export interface BaseBackupOptions {
  /** Written into backup_label; without control characters. */
  readonly label: string;
  /** `zstd`: the server compresses the archives, at level 1; only from PostgreSQL 15 on, where it is built so. */
  readonly compression: 'none' | 'zstd';
  /** The most that the server sends in a second, in units of 1024 bytes (32 to 1048576); undefined: as much as it can. */
  readonly maxRateKilobytes: number | undefined;
  /** Only what changed since the backup whose manifest was uploaded; from PostgreSQL 17 on. */
  readonly incremental: boolean;
}

/** From here on options stand in parentheses, and the server can compress. */
const NEW_SYNTAX = 150_000;

/** Whether the server may be asked to compress. Whether it was built so shows when it is. */
export function canCompress(serverVersion: number): boolean {
  return serverVersion >= NEW_SYNTAX;
}

/**
 * BASE_BACKUP as the version takes it (protocol.sgml). The checkpoint comes at once; the server does not wait until its WAL
 * is archived, since Walden looks at its own repositories; pages are checked by the server, which says so at the end. Pure.
 */
export function baseBackupCommand(
  serverVersion: number,
  { label, compression, maxRateKilobytes, incremental }: BaseBackupOptions,
): string {
  const quoted = quotedText(label);
  if (serverVersion < NEW_SYNTAX) {
    const rate = maxRateKilobytes === undefined ? '' : ` MAX_RATE ${maxRateKilobytes}`;
    return `BASE_BACKUP LABEL ${quoted} PROGRESS FAST NOWAIT${rate} MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'`;
  }
  const options = [
    ...[`LABEL ${quoted}`, 'PROGRESS', `CHECKPOINT 'fast'`, 'WAIT false'],
    ...[`MANIFEST 'yes'`, `MANIFEST_CHECKSUMS 'CRC32C'`],
    ...(maxRateKilobytes === undefined ? [] : [`MAX_RATE ${maxRateKilobytes}`]),
    ...(incremental ? ['INCREMENTAL'] : []),
    ...(compression === 'none' ? [] : [`COMPRESSION 'zstd'`, `COMPRESSION_DETAIL 'level=1'`]),
  ];
  return `BASE_BACKUP (${options.join(', ')})`;
}

/** As repl_scanner.l reads it: only the quote is special. */
function quotedText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
