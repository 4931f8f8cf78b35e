/** Paths of the API, version 1, with their parts escaped. */

export function clusterPath(cluster: string, ...rest: readonly string[]): string {
  return ['/v1/clusters', cluster, ...rest]
    .map((part, index) => (index === 0 ? part : encodeURIComponent(part)))
    .join('/');
}

/** What is undefined is left out. */
export function queryPath(path: string, values: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  return given.length === 0 ? path : `${path}?${given.join('&')}`;
}

export function jobPath(id: string, ...rest: readonly string[]): string {
  return ['/v1/jobs', encodeURIComponent(id), ...rest].join('/');
}
