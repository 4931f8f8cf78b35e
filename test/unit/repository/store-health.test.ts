import { describe, expect, it } from 'vitest';
import type { RepositoryName } from '../../../catalog/catalog.ts';
import { WaldenError } from '../../../src/errors.ts';
import { byPreference, type Repository } from '../../../src/repository/repository.ts';
import { StoreHealth } from '../../../src/repository/store-health.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';

const AWAY = new WaldenError('STORAGE_UNAVAILABLE', 'away');

function repositories(...names: readonly string[]) {
  let now = 0;
  const clock = { now: () => new Date(now), sleep: () => Promise.resolve() };
  const all = names.map((name) => {
    const health = new StoreHealth(clock);
    return { name: name as RepositoryName, driver: new MemoryDriver(), health };
  });
  return { all, pass: (milliseconds: number) => (now += milliseconds) };
}

function order(all: readonly Repository[]): string {
  return byPreference(all)
    .map(({ name }) => name)
    .join(' ');
}

function observe(repository: Repository | undefined, milliseconds: number, error?: WaldenError): void {
  repository?.health?.observe({ operation: 'get', milliseconds, error });
}

describe('the choice among repositories', () => {
  it('is the configured order while nothing is known', () => {
    expect(order(repositories('b', 'a', 'c').all)).toBe('b a c');
  });

  it('puts one that fails behind the others, until it answers or a minute has passed', () => {
    const { all, pass } = repositories('a', 'b');
    observe(all[0], 1, AWAY);
    expect(order(all)).toBe('b a');
    observe(all[0], 1);
    expect(order(all)).toBe('a b');
    observe(all[0], 1, AWAY);
    pass(61_000);
    expect(order(all)).toBe('a b');
  });

  it('puts the near before the far, but not for a little', () => {
    const { all } = repositories('far', 'near', 'nearer');
    for (let calls = 0; calls < 5; calls += 1) {
      observe(all[0], 80);
      observe(all[1], 12);
      observe(all[2], 3);
    }
    expect(order(all)).toBe('near nearer far');
  });

  it('takes one that answers soon now and then for near: on a busy host not every call is soon', () => {
    const { all } = repositories('local', 'other');
    for (const milliseconds of [90, 300, 4, 80, 70, 120, 60]) observe(all[0], milliseconds);
    for (let calls = 0; calls < 7; calls += 1) observe(all[1], 3);
    expect(order(all)).toBe('local other');
    for (const milliseconds of [90, 80, 70]) observe(all[0], milliseconds);
    expect(order(all)).toBe('other local');
  });

  it('does not take one for far whose first call was slow', () => {
    const { all } = repositories('local', 'other');
    observe(all[0], 60);
    observe(all[1], 2);
    expect(order(all)).toBe('local other');
    expect(all[0]!.health.latencyMs).toBe(60);
  });

  it('takes an answer for one, whatever it says', () => {
    const { all } = repositories('a', 'b');
    observe(all[0], 1, AWAY);
    observe(all[0], 1, new WaldenError('STORAGE_OBJECT_MISSING', 'not there'));
    expect(order(all)).toBe('a b');
  });

  it('puts one whose keys are missing behind, until something in it was opened or stored', () => {
    const { all } = repositories('a', 'b');
    const health = all[0]!.health;
    observe(all[0], 1, new WaldenError('KEY_MISSING', 'no key'));
    for (const operation of ['stat', 'list', 'remove'] as const) {
      health.observe({ operation, milliseconds: 1, error: undefined });
    }
    observe(all[0], 1, new WaldenError('STORAGE_OBJECT_MISSING', 'not there'));
    expect(order(all)).toBe('b a');
    expect(health.failure?.error.code).toBe('KEY_MISSING');
    observe(all[0], 1);
    expect(order(all)).toBe('a b');
    health.observe({ operation: 'put', milliseconds: 1, error: new WaldenError('KEY_REFUSED', 'others may read it') });
    expect(order(all)).toBe('b a');
    health.observe({ operation: 'put', milliseconds: 1, error: undefined });
    expect(health.failure).toBeUndefined();
  });

  it('remembers since when it fails, and learns nothing from what was interrupted', () => {
    const { all, pass } = repositories('a');
    observe(all[0], 1, AWAY);
    pass(10_000);
    observe(all[0], 1, AWAY);
    observe(all[0], 1, new WaldenError('INTERRUPTED', 'stopped'));
    expect(all[0]?.health.failure).toMatchObject({ error: AWAY, since: new Date(0) });
  });
});
