/** Paths of the API, version 1, with their parts escaped. */

export function clusterPath(cluster: string, ...rest: readonly string[]): string {
  return ['/v1/clusters', cluster, ...rest]
    .map((part, index) => (index === 0 ? part : encodeURIComponent(part)))
    .join('/');
}

export function jobPath(id: string, ...rest: readonly string[]): string {
  return ['/v1/jobs', encodeURIComponent(id), ...rest].join('/');
}
