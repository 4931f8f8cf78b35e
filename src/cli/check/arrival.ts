import { type Check, failed, ok, valueOf } from './facts.ts';

const NAME = 'wal arrives';

/** The one proof that counts: WAL that was written a moment ago is where it has to be. */
export const checkArrival: Check = ({ arrival, server, config }) => {
  const view = valueOf(server);
  if (arrival === undefined) {
    if (view?.inRecovery === true) return [ok(NAME, 'not tried: a standby writes no WAL; check it on the primary')];
    return [
      failed(
        NAME,
        'not tried: it needs the server, the service and pg_switch_wal',
        'do what the other lines say first',
      ),
    ];
  }
  const { segment, missingIn, error } = arrival;
  if (error !== undefined) return [failed(NAME, `${segment}: ${error.message}`, error.hint)];
  const seconds = Math.round(arrival.seconds * 10) / 10;
  if (missingIn.length > 0) {
    const fact = `${segment} is not in repository ${missingIn.join(', ')} after ${seconds} s`;
    return [failed(NAME, fact, whyNot(view?.archiver.failing, config.receive !== undefined, config.name))];
  }
  const fact = `${segment} was in ${config.required.join(', ')} after ${seconds} s`;
  return [ok(NAME, fact, { label: 'arrival', value: seconds, unit: 's' })];
};

function whyNot(failing: string | undefined, receives: boolean, cluster: string): string {
  if (receives) return `see what the receiver says: walden status ${cluster}`;
  if (failing === undefined) return 'give it more time with --timeout, or look into the log of PostgreSQL';
  return `archive_command fails with ${failing}: its words are in the log of PostgreSQL`;
}
