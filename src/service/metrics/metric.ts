import { Gauge, type Registry } from 'prom-client';

/** One line of the tables that metrics, docs/metrics.md and the tests of rules and dashboards are made from. */
export interface GaugeRule<Subject> {
  readonly name: `walden_${string}`;
  readonly help: string;
  readonly labels: readonly string[];
  /** What there is to tell of it now: the values of the labels in their order, then the number. */
  readonly read: (subject: Subject) => Iterable<readonly [...string[], number]>;
}

/** Registers a gauge for each rule, which is read anew at each scrape. */
export function registerGauges<Subject>(
  registry: Registry,
  rules: readonly GaugeRule<Subject>[],
  subjects: () => Iterable<Subject>,
): void {
  for (const { name, help, labels, read } of rules) {
    const gauge = new Gauge({
      ...{ name, help, labelNames: [...labels], registers: [] },
      collect() {
        // What is gone must not stay as it was.
        this.reset();
        for (const subject of subjects()) {
          for (const reading of read(subject)) {
            const values = Object.fromEntries(labels.map((label, index) => [label, String(reading[index])]));
            this.set(values, Number(reading.at(-1)));
          }
        }
      },
    });
    registry.registerMetric(gauge);
  }
}
