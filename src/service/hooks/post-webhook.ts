import { createHmac } from 'node:crypto';
import type { WebhookTarget } from '../../config/config.ts';
import { WaldenError } from '../../errors.ts';
import { readSecretFile } from '../../platform/private-files.ts';
import type { HookMessage } from './hook-message.ts';

/**
 * Posts the event, signed where there is a secret. It has succeeded with an answer of 200 to 299; a redirection is none,
 * since it would lead what was signed for one receiver to another.
 * @throws HOOK_FAILED, KEY_REFUSED
 */
export async function postWebhook(
  { url, secretFile }: WebhookTarget,
  { body, delivery }: HookMessage,
  now: Date,
  signal: AbortSignal,
): Promise<void> {
  const timestamp = String(Math.floor(now.getTime() / 1000));
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'walden-delivery': delivery,
    'walden-timestamp': timestamp,
  };
  if (secretFile !== undefined) {
    headers['walden-signature'] = signature(await readSecretFile(secretFile, 'secret'), timestamp, body);
  }
  // The rest of a URL may be a secret.
  const place = new URL(url).origin;
  let status: number;
  try {
    const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal });
    ({ status } = response);
    await response.body?.cancel();
  } catch (cause) {
    const fact = signal.aborted ? 'no answer in time' : reasonOf(cause);
    throw new WaldenError('HOOK_FAILED', `unable to post to ${place}: ${fact}`, { cause });
  }
  if (status < 200 || status > 299) throw new WaldenError('HOOK_FAILED', `${place} answered with status ${status}`);
}

/** `v1=` and HMAC-SHA256 in hex, over the timestamp, a full stop and the body. */
export function signature(secret: string, timestamp: string, body: string): string {
  return `v1=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;
}

/** What is behind "fetch failed". */
function reasonOf(error: unknown): string {
  const { cause } = error as { readonly cause?: unknown };
  if (cause instanceof Error) return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
  return error instanceof Error ? error.message : String(error);
}
