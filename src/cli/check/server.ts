import { type Check, type CheckLine, failed, ok, valueOf, warning } from './facts.ts';

const OLDEST = 13;
const NEWEST = 18;

/** That it answers, is the one of this archive, of a version that is known, and safe itself. */
export const checkServer: Check = ({ server, service, config }) => {
  if ('error' in server) {
    return [failed('server', server.error.message, server.error.hint)];
  }
  const { version, systemIdentifier, inRecovery, fsync, fullPageWrites, role } = server.value;
  const major = Math.floor(version / 10_000);
  const title = `PostgreSQL ${major}.${version % 10_000}, ${inRecovery ? 'standby' : 'primary'}, asked as ${role}`;
  const known = valueOf(service)?.status;
  const lines: CheckLine[] = [];
  if (major < OLDEST || major > NEWEST) {
    lines.push(failed('server', `${title}: Walden works with ${OLDEST} to ${NEWEST}`, 'use another version of Walden'));
  } else if (known?.majorVersion !== undefined && known.majorVersion !== null && known.majorVersion !== major) {
    const fix = `give the upgraded cluster a section of its own in the configuration, with another name than ${config.name}`;
    lines.push(failed('server', `${title}, and the archive is of PostgreSQL ${known.majorVersion}`, fix));
  } else lines.push(ok('server', title));
  if (known?.systemIdentifier === null || known === undefined) {
    lines.push(ok('identity', `system identifier ${systemIdentifier}`));
  } else if (known.systemIdentifier === systemIdentifier) {
    lines.push(ok('identity', `server and archive are of system ${systemIdentifier}`));
  } else {
    const fact = `the server is of system ${systemIdentifier}, and the archive of ${known.systemIdentifier}`;
    lines.push(
      failed('identity', fact, `let conninfo and data_directory of [cluster.${config.name}] name the cluster`),
    );
  }
  if (!fsync) {
    const fact = 'fsync is off: a crash of its host can damage the cluster itself';
    lines.push(warning('durability', fact, 'set fsync = on, unless the cluster may be lost'));
  } else if (!fullPageWrites) {
    const fact = 'full_page_writes is off: a crash of its host can tear pages';
    lines.push(warning('durability', fact, 'set full_page_writes = on, unless the file system never tears a page'));
  }
  return lines;
};
