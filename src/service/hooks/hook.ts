import type { EventRecord } from '../../../catalog/catalog.ts';
import type { HookConfig, HookTopic } from '../../config/config.ts';
import { errorToDocument, toWaldenError, WaldenError } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { withDeadline } from '../../platform/deadline.ts';
import { retry } from '../../../storage-drivers/retry.ts';
import type { ServiceLog } from '../deps.ts';
import type { EventLog } from '../events/event-log.ts';
import { type HookMessage, hookMessage } from './hook-message.ts';
import { postWebhook } from './post-webhook.ts';
import { runCommand } from './run-command.ts';
import { topicOf } from './topics.ts';

/** About two minutes and a half in all, besides what the attempts take. */
const POLICY = { retries: 5, firstWaitMs: 3_000, longestWaitMs: 60_000 };
/** Who cannot keep up is told of the newest only. */
const MOST_WAITING = 100;
/** What a service that stops gives what is under way. */
const STOP_MS = 5_000;

export interface HookDeps {
  readonly clock: Clock;
  readonly log: ServiceLog;
  readonly events: EventLog;
}

/** Tells one program or web service of events, one after the other, in the background: nothing waits for it. */
export class Hook {
  readonly #config: HookConfig;
  readonly #deps: HookDeps;
  readonly #waiting: { readonly topic: HookTopic; readonly event: EventRecord }[] = [];
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #dropped = 0;

  constructor(config: HookConfig, deps: HookDeps) {
    this.#config = config;
    this.#deps = deps;
    deps.events.listen((event) => {
      this.#offer(event);
    });
  }

  /** Ends what is under way, after a short while. What waits is not told. */
  async stop(): Promise<void> {
    const { log } = this.#deps;
    const running = this.#running ?? Promise.resolve();
    await withDeadline(running, STOP_MS, () => new WaldenError('HOOK_FAILED', 'the service stops')).catch(
      () => undefined,
    );
    this.#stop.abort();
    await this.#running;
    const { length: left } = this.#waiting;
    if (left > 0)
      log.warn({ hook: this.#config.name, left }, `hook ${this.#config.name} was not told of ${left} events`);
  }

  #offer(event: EventRecord): void {
    const topic = topicOf(event);
    if (topic === undefined || !this.#config.on.includes(topic) || this.#stop.signal.aborted) return;
    this.#waiting.push({ topic, event });
    if (this.#waiting.length > MOST_WAITING) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      await this.#tell(hookMessage(this.#config, next.topic, next.event), next.event);
    }
  }

  async #tell(message: HookMessage, event: EventRecord): Promise<void> {
    const { name } = this.#config;
    const { clock, log, events } = this.#deps;
    const { signal } = this.#stop;
    try {
      await retry(() => this.#attempt(message), POLICY, { clock, signal });
      log.info({ hook: name, event: event.id }, `hook ${name} was told: ${event.message}`);
    } catch (thrown) {
      const error = toWaldenError(thrown);
      if (signal.aborted) {
        log.warn(
          { hook: name, event: event.id },
          `hook ${name} was not told, since the service stops: ${event.message}`,
        );
        return;
      }
      const dropped = this.#dropped;
      this.#dropped = 0;
      await events.record({
        ...{ kind: 'hook-failed', level: 'error', subject: name },
        message: `hook ${name} could not be told of event ${event.id}: ${error.message}`,
        facts: { hook: name, event: event.id, error: errorToDocument(error), dropped },
      });
    }
  }

  async #attempt(message: HookMessage): Promise<void> {
    const { target, timeoutSeconds } = this.#config;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(timeoutSeconds * 1000)]);
    if (target.kind === 'command') await runCommand(target, message, signal);
    else await postWebhook(target, message, this.#deps.clock.now(), signal);
  }
}
