import type { EventRecord } from '../../../catalog/catalog.ts';
import type { HookTopic } from '../../config/config.ts';

/** What a hook may be told of an event; undefined: nothing. That a hook failed is told to none, or there would be no end. */
export function topicOf({ kind, facts }: Pick<EventRecord, 'kind' | 'facts'>): HookTopic | undefined {
  switch (kind) {
    case 'job-done':
      if (facts['jobKind'] === 'backup') return 'backup';
      return facts['jobKind'] === 'expire' ? 'expiry' : undefined;
    case 'job-failed':
    case 'schedule-missed':
    case 'receiver-down':
    case 'repository-away':
      return 'failure';
    case 'wal-gap':
    case 'receiver-lost-wal':
      return 'gap';
    case 'wal-refused':
    case 'second-writer':
      return 'incident';
    case 'service-started':
    case 'service-stopped':
    case 'job-cancelled':
    case 'backup-became-full':
    case 'wal-gap-closed':
    case 'second-writer-gone':
    case 'receiver-up':
    case 'repository-back':
    case 'repository-behind':
    case 'repository-filled':
    case 'hook-failed':
      return undefined;
  }
}
