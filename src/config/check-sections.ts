import { isWaldenError } from '../errors.ts';
import type { CheckedValue } from './check-option.ts';
import { checkOption } from './check-option.ts';
import type { Option, Options, Section } from './option.ts';
import { type SectionKind, SECTIONS, type SectionValues } from './option-table.ts';
import { type ConfigProblems, didYouMean } from './problems.ts';
import type { TomlFile, TomlLeaf } from './toml-file.ts';

/** One section of a file whose keys, types and ranges are right. */
export interface CheckedSection<K extends SectionKind = SectionKind> {
  readonly kind: K;
  /** Empty for `[service]`. */
  readonly name: string;
  readonly line: number;
  readonly values: SectionValues<K>;
  /** Where a key stands; where the section begins for keys that are not given. */
  lineOf(key: KeyOf<SectionValues<K>>): number;
}

/** Of any member of a union. */
type KeyOf<Values> = Values extends unknown ? keyof Values & string : never;

export interface CheckedSections {
  readonly service: CheckedSection<'service'> | undefined;
  readonly repositories: readonly CheckedSection<'repository'>[];
  /** Also those that have errors of their own. */
  readonly repositoryNames: ReadonlySet<string>;
  readonly clusters: readonly CheckedSection<'cluster'>[];
  readonly retention: readonly CheckedSection<'retention'>[];
  /** Also those that have errors of their own. */
  readonly clusterNames: ReadonlySet<string>;
  readonly schedules: readonly CheckedSection<'schedule'>[];
  readonly hooks: readonly CheckedSection<'hook'>[];
}

interface FoundSection {
  readonly kind: SectionKind;
  readonly name: string;
  readonly line: number;
  readonly leaves: Map<string, TomlLeaf>;
}

/** Sorts the values of a file into sections and checks each against the table. Sections with errors are left out. */
export function checkSections(file: TomlFile, problems: ConfigProblems): CheckedSections {
  const found = sortIntoSections(file, problems);
  const service = found.find((section) => section.kind === 'service');
  if (service === undefined) problems.add(undefined, undefined, 'the section [service] is missing');
  if (!found.some((section) => section.kind === 'cluster')) {
    problems.add(undefined, undefined, 'there is no section [cluster.NAME]');
  }
  return {
    service: service === undefined ? undefined : checkSection('service', service, problems),
    repositories: checkAll('repository', found, problems),
    repositoryNames: namesOf('repository', found),
    clusters: checkAll('cluster', found, problems),
    retention: checkAll('retention', found, problems),
    clusterNames: namesOf('cluster', found),
    schedules: checkAll('schedule', found, problems),
    hooks: checkAll('hook', found, problems),
  };
}

function namesOf(kind: SectionKind, found: readonly FoundSection[]): ReadonlySet<string> {
  return new Set(found.filter((section) => section.kind === kind).map(({ name }) => name));
}

function checkAll<K extends SectionKind>(
  kind: K,
  found: readonly FoundSection[],
  problems: ConfigProblems,
): CheckedSection<K>[] {
  return found
    .filter((section) => section.kind === kind)
    .map((section) => checkSection(kind, section, problems))
    .filter((section) => section !== undefined);
}

function sortIntoSections(file: TomlFile, problems: ConfigProblems): FoundSection[] {
  const sections = new Map<string, FoundSection>();
  const open = (kind: SectionKind, name: string, line: number): FoundSection => {
    const title = titleOf(kind, name);
    const section = sections.get(title) ?? { kind, name, line, leaves: new Map() };
    sections.set(title, section);
    return section;
  };
  for (const { path, line } of file.tables) {
    const [kind = '', name] = path;
    if (!isSectionKind(kind)) {
      problems.add(line, path.join('.'), `unknown section${didYouMean(kind, Object.keys(SECTIONS))}`);
    } else if (!SECTIONS[kind].named) open(kind, '', line);
    else if (name !== undefined) open(kind, name, line);
  }
  for (const leaf of file.leaves) sortLeaf(leaf, open, problems);
  return [...sections.values()];
}

function sortLeaf(
  leaf: TomlLeaf,
  open: (kind: SectionKind, name: string, line: number) => FoundSection,
  problems: ConfigProblems,
): void {
  const { path, line } = leaf;
  const [kind = ''] = path;
  if (path.length === 1) {
    problems.add(line, kind, `a key must stand in a section: ${sectionTitles()}`);
    return;
  }
  // The table that holds it was refused already.
  if (!isSectionKind(kind)) return;
  const depth = SECTIONS[kind].named ? 2 : 1;
  const key = path.slice(depth).join('.');
  if (key === '') {
    problems.add(line, path.join('.'), `the section needs a name: [${kind}.NAME]`);
    return;
  }
  open(kind, path.slice(1, depth).join('.'), line).leaves.set(key, leaf);
}

function checkSection<K extends SectionKind>(
  kind: K,
  { name, line, leaves }: FoundSection,
  problems: ConfigProblems,
): CheckedSection<K> | undefined {
  const title = titleOf(kind, name);
  const refused: string[] = [];
  const refuse = (at: number, key: string, fact: string): void => {
    problems.add(at, `${title}.${key}`, fact);
    refused.push(key);
  };
  const { options, isWhole } = optionsOf(kind, leaves);
  for (const [key, leaf] of isWhole ? leaves : []) {
    if (!Object.hasOwn(options, key)) refuse(leaf.line, key, `unknown key${didYouMean(key, Object.keys(options))}`);
  }
  const values: Record<string, CheckedValue | undefined> = {};
  for (const [key, option] of Object.entries(options)) {
    const leaf = leaves.get(key);
    if (leaf === undefined) {
      if (option.required) refuse(line, key, 'is missing');
      values[key] = constantDefault(option);
      continue;
    }
    const value = checkOption(option, leaf.value);
    if (typeof value === 'object' && 'refused' in value) refuse(leaf.line, key, value.refused);
    else values[key] = value;
  }
  if (refused.length > 0) return undefined;
  return {
    kind,
    name,
    line,
    // Each key was checked against the entry that its type comes from.
    values: values as SectionValues<K>,
    lineOf: (key) => leaves.get(key)?.line ?? line,
  };
}

/** `isWhole`: what is not among them is unknown; it may be another variant's while nobody knows which one is meant. */
function optionsOf(
  kind: SectionKind,
  leaves: ReadonlyMap<string, TomlLeaf>,
): { readonly options: Options; readonly isWhole: boolean } {
  const { options, variants }: Section = SECTIONS[kind];
  if (variants === undefined) return { options, isWhole: true };
  const chosen = leaves.get(variants.by)?.value;
  const variant =
    chosen?.type === 'text' && Object.hasOwn(variants.of, chosen.text) ? variants.of[chosen.text] : undefined;
  return { options: { ...options, ...variant?.options }, isWhole: variant !== undefined };
}

/** The name of a section, or undefined when `check` refuses it, which is told. */
export function checkedName<Name extends string>(
  check: (text: string) => Name,
  { kind, name, line }: CheckedSection,
  problems: ConfigProblems,
): Name | undefined {
  try {
    return check(name);
  } catch (error) {
    if (!isWaldenError(error)) throw error;
    problems.add(line, `${kind}.${name}`, `${error.message}: ${error.hint}`);
    return undefined;
  }
}

function constantDefault(option: Option): number | undefined {
  return typeof option.default === 'number' ? option.default : undefined;
}

/** `[service], [repository.NAME] or [cluster.NAME]`. */
function sectionTitles(): string {
  const titles = Object.entries<Section>(SECTIONS).map(([kind, { named }]) => (named ? `[${kind}.NAME]` : `[${kind}]`));
  return `${titles.slice(0, -1).join(', ')} or ${titles.at(-1) ?? ''}`;
}

function isSectionKind(kind: string): kind is SectionKind {
  return Object.hasOwn(SECTIONS, kind);
}

function titleOf(kind: SectionKind, name: string): string {
  return name === '' ? kind : `${kind}.${name}`;
}
