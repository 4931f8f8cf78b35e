import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { acknowledgedButMissing } from '../support/archiving.ts';
import type { PostgresVersion } from '../support/postgres-binaries.ts';
import { filesBelow } from '../support/stored.ts';
import { checkEverything, tailOf } from './checks.ts';
import { type Errand, startErrand } from './errands.ts';
import { isErrand, kill, revive, type Victim, VICTIMS } from './victims.ts';
import { closeWorld, hold, leaveWatermark, openWorld, type World } from './world.ts';

/** A moment without an errand lies within this time. */
const IDLE_MS = 1000;
/** What was killed runs again after this time at most. */
const OUTAGE_MS = 2000;

export interface SoakOptions {
  readonly version: PostgresVersion;
  readonly seed: number;
  /** Asked before each kill, with how many there were. */
  readonly goOn: (kills: number) => boolean;
  readonly say?: (line: string) => void;
}

export interface SoakReport {
  /** By victim; those that came too late to be killed are not counted. */
  readonly kills: Readonly<Record<string, number>>;
  /** Transactions that were acknowledged. */
  readonly acknowledged: number;
  readonly segments: number;
  readonly backups: number;
  readonly copies: number;
  /** Empty when everything held. */
  readonly problems: readonly string[];
  /** The ends of the logs, when something did not hold. */
  readonly logs: string;
}

/**
 * The real thing: PostgreSQL under load archives, a standby follows, an operator takes backups and restores, and whoever
 * takes part is killed at random moments and started again. Then it must be as if nobody had been.
 */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const world = await openWorld(options);
  try {
    await hold(world, 'the soak', async () => {
      await killAndRevive(world, options);
      await world.load.stop();
      options.say?.('the kills are over; checking');
      await checkEverything(world);
    });
    return await reportOf(world);
  } finally {
    await closeWorld(world);
  }
}

async function killAndRevive(world: World, { goOn, say }: SoakOptions): Promise<void> {
  for (let kills = 0, deck: readonly Victim[] = []; goOn(kills); kills += 1) {
    // Dealt rather than drawn, so that a short soak has every kind in it too.
    if (deck.length === 0) deck = world.chances.shuffled(VICTIMS);
    const [victim = 'service', ...rest] = deck;
    deck = rest;
    await hold(world, `kill ${kills + 1}, of ${victim}`, () =>
      round(world, victim, (line) => say?.(`${kills + 1}: ${line}`)),
    );
  }
}

async function round(world: World, victim: Victim, say: (line: string) => void): Promise<void> {
  const { scene, load, chances, notes } = world;
  const errand = chooseErrand(world, victim);
  const victims: readonly Victim[] = chances.oneIn(4) ? [victim, chances.pick(['service', 'postmaster'])] : [victim];
  const running = errand === undefined ? undefined : startErrand(world, errand);
  const moment = chances.below(1000) / 1000;
  const outage = chances.below(OUTAGE_MS);
  const killed: Victim[] = [];
  try {
    // Nothing is waited for: chance says how far the errand comes.
    await delay(moment * (errand === undefined ? IDLE_MS : (notes.usualMs.get(errand) ?? IDLE_MS)));
    for (const one of new Set(victims)) if (await kill(world, one, running)) killed.push(one);
    await delay(outage);
    const missing = acknowledgedButMissing(scene.server, scene.walden);
    if (missing.length > 0) throw new Error(`acknowledged, and not stored: ${missing.join(', ')}`);
  } finally {
    for (const one of killed) notes.kills.set(one, (notes.kills.get(one) ?? 0) + 1);
    say(`killed ${killed.join(' and ') || 'nobody'}${errand === undefined ? '' : ` during ${errand}`}`);
    await revive(world);
    await running?.end(killed);
  }
  await load.advance(1);
  await leaveWatermark(world);
}

function chooseErrand({ chances }: World, victim: Victim): Errand | undefined {
  const other = chances.pick<Errand | undefined>(['backup', 'restore', 'offline restore', undefined, undefined]);
  return isErrand(victim) ? victim : other;
}

async function reportOf({ scene, standby, load, notes }: World): Promise<SoakReport> {
  const segments = filesBelow(join(scene.walden.repositoryPath(), 'main', 'wal'));
  const logs = [
    ['the service', scene.walden.log()],
    ['PostgreSQL', scene.server.log()],
    ['the standby', standby.log()],
  ] as const;
  const tails = logs.map(async ([name, log]) => `-- the log of ${name}\n${await tailOf(log)}`);
  return {
    kills: Object.fromEntries(notes.kills),
    acknowledged: load.acknowledged.length,
    segments: segments.filter((name) => /\/[0-9A-F]{24}\.zst$/.test(name)).length,
    backups: notes.backups.length,
    copies: notes.copies,
    problems: notes.problems,
    logs: notes.problems.length === 0 ? '' : (await Promise.all(tails)).join('\n'),
  };
}
