import type { ServiceDeps } from '../deps.ts';
import type { EventLog } from './event-log.ts';

/** The first event of a service; it says so when the one before was not stopped. */
export async function tellStart({ catalog, version }: ServiceDeps, events: EventLog): Promise<void> {
  const [last] = await catalog.events({ kinds: ['service-started', 'service-stopped'], limit: 1 });
  const wasKilled = last?.kind === 'service-started';
  await events.record({
    kind: 'service-started',
    level: wasKilled ? 'warning' : 'info',
    message: wasKilled
      ? 'the service was started; the one before had ended without being stopped'
      : 'the service was started',
    facts: { version, pid: process.pid },
  });
}
