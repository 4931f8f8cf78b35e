import type { EventRecord } from '../../../catalog/catalog.ts';
import type { HookConfig, HookTopic } from '../../config/config.ts';
import { eventDocument } from '../answers/documents.ts';

/** What a hook is given. */
export interface HookMessage {
  /** A JSON document. */
  readonly body: string;
  /** For a command's environment. */
  readonly variables: Readonly<Record<string, string>>;
  /** The same in all attempts: who is told twice can notice. */
  readonly delivery: string;
}

export function hookMessage({ name }: HookConfig, topic: HookTopic, event: EventRecord): HookMessage {
  const document = eventDocument(event);
  return {
    body: JSON.stringify({ format: 1, hook: name, topic, event: document }),
    variables: {
      WALDEN_HOOK: name,
      WALDEN_TOPIC: topic,
      WALDEN_EVENT: event.kind,
      WALDEN_CLUSTER: event.cluster ?? '',
      WALDEN_MESSAGE: event.message,
    },
    delivery: `${event.id}-${event.at}-${name}`,
  };
}
