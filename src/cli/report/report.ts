import { formatAge, formatBytes, formatDuration, formatMoment, secondsBetween, count } from '../render/units.ts';
import { type Bar, bars } from './bars.ts';
import { html, type Html, table } from './html.ts';
import type { ReportData } from './report-data.ts';
import { STYLE } from './style.ts';
import { timeLine } from './time-line.ts';

const SHOWN = 60;

/** The whole page. Pure: only what the documents say, and everything escaped. */
export function renderReport(data: ReportData): string {
  const { status, at } = data;
  const title = `Cluster ${status.name}: what can be recovered`;
  const moment = formatMoment(at.toISOString());
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>${title}</title>
        <style>
          ${STYLE}
        </style>
      </head>
      <body>
        <h1>${title}</h1>
        <p class="dim">
          PostgreSQL ${status.majorVersion ?? 'of an unknown version'}, system identifier
          ${status.systemIdentifier ?? 'unknown'}. As of ${moment}, by Walden ${data.version}. All moments in UTC.
        </p>
        <div class="cards">${cards(data)}</div>
        <h2>Over time</h2>
        <section>${timeLine(data)}${holes(data)}</section>
        <h2>Backups</h2>
        <section>${backups(data)}</section>
        <h2>WAL</h2>
        <section>${wal(data)}</section>
        <h2>Drills</h2>
        <section>${drills(data)}</section>
        <h2>Verification</h2>
        <section>${verification(data)}</section>
      </body>
    </html> `.text;
}

function card(head: string, words: string, kind: 'good' | 'bad' | 'plain' = 'plain'): Html {
  return html`<div class="card"><span>${head}</span><b class="${kind}">${words}</b></div>`;
}

function cards(data: ReportData): readonly Html[] {
  const { at, status } = data;
  const windows = status.repositories.flatMap((repository) => repository.windows);
  const newest = windows.reduce<(typeof windows)[number] | undefined>(
    (best, one) => (best === undefined || (one.latest ?? one.earliest) > (best.latest ?? best.earliest) ? one : best),
    undefined,
  );
  const last = data.backups.filter(({ state }) => state === 'complete').at(-1);
  const [drill] = data.drills;
  const damaged = status.repositories.reduce((sum, { verification: { damagedObjects } }) => sum + damagedObjects, 0);
  return [
    newest === undefined
      ? card('Recoverable', 'NOT recoverable', 'bad')
      : card(
          'Recoverable',
          `${formatMoment(newest.earliest)} to ${formatMoment(newest.latest ?? newest.earliest)}`,
          'good',
        ),
    card(
      'Last backup',
      last === undefined ? 'none' : formatAge(last.startedAt, at),
      last === undefined ? 'bad' : 'plain',
    ),
    drill === undefined
      ? card('Last drill', 'never: nobody knows whether it can be restored', 'bad')
      : card(
          'Last drill',
          `${drill.outcome}, ${formatAge(drill.startedAt, at)}`,
          drill.outcome === 'passed' ? 'good' : 'bad',
        ),
    card(
      'Holes in the WAL',
      data.gaps.length === 0 ? 'none' : `${data.gaps.length}`,
      data.gaps.length === 0 ? 'good' : 'bad',
    ),
    card('Damaged objects', damaged === 0 ? 'none known' : `${damaged}`, damaged === 0 ? 'good' : 'bad'),
  ];
}

function holes({ gaps }: ReportData): Html {
  const rows = gaps
    .slice(0, SHOWN)
    .map(({ repository, timeline, first, last, segments }) => [
      html`<span class="bad">missing</span>`,
      `${first} to ${last}`,
      count(segments, 'segment'),
      `timeline ${timeline}`,
      repository,
    ]);
  return gaps.length === 0 ? html`` : table(['', 'Segments', 'How many', 'Timeline', 'Repository'], rows, '');
}

function backups({ backups: all }: ReportData): Html {
  const complete = all.filter(({ state, facts }) => state === 'complete' && facts !== null).slice(-SHOWN);
  const sizes: readonly Bar[] = complete.map(({ id, facts }) => ({
    label: id,
    whole: facts?.plainBytes ?? 0,
    part: facts?.storedBytes ?? 0,
    words: `${formatBytes(facts?.plainBytes ?? 0)}, ${formatBytes(facts?.storedBytes ?? 0)} stored`,
  }));
  const rows = all
    .slice(-SHOWN)
    .map(({ id, state, startedAt, facts, repository, label, damaged }) => [
      id,
      damaged === undefined ? state : html`<span class="bad">${state}, DAMAGED</span>`,
      formatMoment(startedAt),
      facts === null ? '' : formatDuration(secondsBetween(startedAt, facts.finishedAt)),
      facts?.parent ?? '',
      repository,
      label,
    ]);
  return html`${bars(sizes, 'Sizes of the backups', 'There is no complete backup.')}
  ${table(['Backup', 'State', 'Started', 'Took', 'Builds on', 'Repository', 'Label'], rows, '')}`;
}

function wal({ ranges }: ReportData): Html {
  const rated = ranges.slice(-SHOWN).map((range) => {
    const { firstCommit, lastCommit, storedBytes } = range;
    const seconds = firstCommit === null || lastCommit === null ? 0 : secondsBetween(firstCommit, lastCommit);
    return { ...range, perHour: seconds < 1 ? undefined : (storedBytes / seconds) * 3600 };
  });
  const rates: readonly Bar[] = rated.flatMap(({ first, perHour }) =>
    perHour === undefined
      ? []
      : [{ label: first, whole: perHour, words: `${formatBytes(Math.round(perHour))} per hour` }],
  );
  const rows = rated.map(({ first, last, segments, storedBytes, firstCommit, lastCommit, timeline, repository }) => [
    `${first} to ${last}`,
    segments.toLocaleString('en-US'),
    formatBytes(storedBytes),
    firstCommit === null ? '' : formatMoment(firstCommit),
    lastCommit === null ? '' : formatMoment(lastCommit),
    `${timeline}`,
    repository,
  ]);
  return html`<h3>How much is stored, on average of each unbroken range</h3>
    ${bars(rates, 'Rate of WAL', 'No range is long enough to tell its rate.')}
    ${table(['Range', 'Segments', 'Stored', 'First commit', 'Last commit', 'Timeline', 'Repository'], rows, 'There is no WAL.')}`;
}

function drills({ drills: all }: ReportData): Html {
  const times: readonly Bar[] = all.slice(0, SHOWN).flatMap(({ startedAt, restore, recovery }) => {
    if (restore === null) return [];
    const whole = restore.seconds + (recovery?.seconds ?? 0);
    const words = `${formatDuration(restore.seconds)} to write, ${formatDuration(recovery?.seconds ?? 0)} to recover`;
    return [{ label: formatMoment(startedAt), whole, part: restore.seconds, words }];
  });
  const rows = all
    .slice(0, SHOWN)
    .map(({ startedAt, outcome, backup, target, reached, checks, error }) => [
      formatMoment(startedAt),
      html`<span class="${outcome === 'passed' ? 'good' : 'bad'}">${outcome}</span>`,
      backup ?? '',
      target,
      reached === null ? '' : `LSN ${reached.lsn}, timeline ${reached.timeline}`,
      html`${checks.map((check) => html`<div>${check.outcome}: ${check.name}</div>`)}`,
      error === null ? '' : `${error.message} (${error.code})`,
    ]);
  return html`${bars(times, 'How long the drills took', '')}
  ${table(['When', 'Outcome', 'Backup', 'Target', 'Reached', 'Checks', 'Error'], rows, 'No drill was done: walden drill.')}`;
}

function verification({ status, verified, at }: ReportData): Html {
  const damaged = status.repositories
    .flatMap((repository) => repository.verification.damaged)
    .map(({ key, repository, error, foundAt }) => [
      html`<span class="bad">damaged</span>`,
      key,
      repository,
      formatMoment(foundAt),
      `${error.message} (${error.code})`,
    ]);
  const rows = verified
    .slice(0, SHOWN)
    .map(({ repository, backup, first, last, objects, verifiedAt }) => [
      backup ?? (first === last ? (first ?? '') : `${first ?? ''} to ${last ?? ''}`),
      objects === 0 ? '' : objects.toLocaleString('en-US'),
      verifiedAt === null
        ? html`<span class="bad">never</span>`
        : `${formatMoment(verifiedAt)}, ${formatAge(verifiedAt, at)}`,
      repository,
    ]);
  return html`${damaged.length === 0 ? null : table(['', 'Object', 'Repository', 'Found', 'What'], damaged, '')}
  ${table(['What', 'Objects', 'Verified', 'Repository'], rows, 'There is nothing to verify.')}`;
}
