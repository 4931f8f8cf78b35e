import { relative } from 'node:path';
import type { ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import type { CheckedSections } from './check-sections.ts';
import type { Config } from './config.ts';
import type { ConfigProblems } from './problems.ts';

interface Place {
  readonly path: string;
  readonly what: string;
  readonly line: number;
  readonly key: string;
}

/**
 * Directories that must not share bytes: two spools would believe each other's acknowledgements, two repositories or
 * clusters would mix, and what lies inside a data directory is backed up with it and lost with it.
 */
export function checkPlaces(sections: CheckedSections, config: Config, problems: ConfigProblems): void {
  const spools: Place[] = [];
  const data: Place[] = [];
  for (const section of sections.clusters) {
    const cluster = config.clusters.get(section.name as ClusterName);
    if (cluster === undefined) continue;
    const title = `cluster.${section.name}`;
    const line = (key: 'spool_directory' | 'data_directory') => section.lineOf(key);
    spools.push({
      path: cluster.spoolDirectory,
      what: `the spool of cluster ${section.name}`,
      line: line('spool_directory'),
      key: `${title}.spool_directory`,
    });
    if (cluster.dataDirectory === undefined) continue;
    data.push({
      path: cluster.dataDirectory,
      what: `the data directory of cluster ${section.name}`,
      line: line('data_directory'),
      key: `${title}.data_directory`,
    });
  }
  const repositories = repositoryPlaces(sections, config);
  refuseOverlaps([...repositories, ...spools], problems);
  refuseOverlaps(data, problems);
  refuseInside([...statePlaces(sections, config), ...repositories, ...spools], data, problems);
  refuseInside(keyPlaces(sections), [...data, ...repositories], problems);
}

/** Where the objects are, their keys must not be. */
function keyPlaces(sections: CheckedSections): Place[] {
  return sections.repositories.flatMap((section) => {
    const { key_directory: path } = section.values;
    const what = `the key directory of repository ${section.name}`;
    const [line, key] = [section.lineOf('key_directory'), `repository.${section.name}.key_directory`];
    return path === undefined ? [] : [{ path, what, line, key }];
  });
}

function repositoryPlaces(sections: CheckedSections, config: Config): Place[] {
  return sections.repositories.flatMap((section) => {
    const repository = config.repositories.get(section.name as RepositoryName);
    if (repository?.driver !== 'local') return [];
    const what = `repository ${section.name}`;
    return [{ path: repository.path, what, line: section.lineOf('path'), key: `repository.${section.name}.path` }];
  });
}

function statePlaces({ service }: CheckedSections, config: Config): Place[] {
  if (service === undefined) return [];
  const line = service.lineOf('state_directory');
  return [{ path: config.service.stateDirectory, what: 'the state directory', line, key: 'service.state_directory' }];
}

function refuseOverlaps(places: readonly Place[], problems: ConfigProblems): void {
  for (const [index, place] of places.entries()) {
    const other = places.slice(0, index).find(({ path }) => isWithin(place.path, path) || isWithin(path, place.path));
    if (other === undefined) continue;
    const how = other.path === place.path ? 'is also' : 'overlaps with';
    problems.add(
      place.line,
      place.key,
      `${place.path} ${how} ${other.what}${other.path === place.path ? '' : ` at ${other.path}`}`,
    );
  }
}

function refuseInside(places: readonly Place[], holders: readonly Place[], problems: ConfigProblems): void {
  for (const place of places) {
    const holder = holders.find(({ path }) => isWithin(place.path, path));
    if (holder !== undefined) problems.add(place.line, place.key, `${place.path} lies inside ${holder.what}`);
  }
}

/** Both absolute and normal; a directory is within itself. */
function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way !== '..' && !way.startsWith('../');
}
