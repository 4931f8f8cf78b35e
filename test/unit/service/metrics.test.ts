import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../../src/service/metrics/metrics.ts';
import type { MeasuredService } from '../../../src/service/metrics/service-gauges.ts';
import { namesIn } from '../../support/metrics-text.ts';
import { projectDirectory } from '../../support/project.ts';

function read(path: string): string {
  return readFileSync(join(projectDirectory, path), 'utf8');
}

/** The metrics of a service that has nothing yet, by the function that a service uses. */
async function exposedNames(): Promise<readonly string[]> {
  const rooms = {
    deps: { version: '1', repositories: new Map() },
    events: { listen: () => undefined },
    clusters: new Map(),
    jobs: { runningByKind: () => new Map() },
  };
  const service = { rooms, scheduler: { upcoming: () => [] } } as unknown as MeasuredService;
  const registry = createMetrics(service, { looks: [] } as unknown as Parameters<typeof createMetrics>[1]);
  return namesIn(await registry.metrics());
}

/** What an expression of PromQL asks for, without the suffixes of histograms. */
function namesAskedBy(expression: string): readonly string[] {
  return [...expression.matchAll(/\b(walden|process|nodejs)_[a-z0-9_]+/g)].map(([name]) =>
    name.replace(/_(sum|count|bucket)$/, ''),
  );
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

describe('the metrics', () => {
  it('are those that docs/metrics.md lists', async () => {
    const listed = [...read('docs/metrics.md').matchAll(/^\| `(walden_\w+)`/gm)].map(([, name]) => name);
    const exposed = (await exposedNames()).filter((name) => name.startsWith('walden_'));
    expect([...listed].sort()).toEqual([...exposed].sort());
  });

  it("have names by Prometheus' conventions", async () => {
    for (const name of (await exposedNames()).filter((each) => each.startsWith('walden_'))) {
      expect(name).toMatch(/^walden_[a-z]+(_[a-z]+)*$/);
      expect(name).not.toMatch(/_(milliseconds|ms|kb|mb|minutes|hours|days)(_|$)/);
    }
  });

  it('hold what the alerts ask for', async () => {
    const exposed = new Set(await exposedNames());
    const { groups } = parse(read('packaging/prometheus/walden.rules.yml')) as {
      readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, expr, labels, annotations } of rules) {
      const asked = namesAskedBy(expr);
      expect(asked.filter((name) => !exposed.has(name))).toEqual([]);
      if (alert !== 'WaldenDown') expect(asked.length).toBeGreaterThan(0);
      expect(['critical', 'warning']).toContain(labels.severity);
      for (const text of [annotations.summary, annotations.description]) expect(text).toMatch(/\S/);
      expect(expr.split('(').length).toBe(expr.split(')').length);
    }
  });

  it('hold what the dashboard asks for', async () => {
    const exposed = new Set(await exposedNames());
    const { panels, templating } = JSON.parse(read('packaging/grafana/walden.json')) as {
      readonly panels: readonly { readonly id: number; readonly targets: readonly { readonly expr: string }[] }[];
      readonly templating: { readonly list: readonly { readonly query: string }[] };
    };
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const asked = [
      ...panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => namesAskedBy(expr))),
      ...templating.list.flatMap(({ query }) => namesAskedBy(query)),
    ];
    expect(asked.length).toBeGreaterThan(20);
    expect(asked.filter((name) => !exposed.has(name))).toEqual([]);
  });
});
