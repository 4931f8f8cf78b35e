import type { NodeDocument } from '../api-nodes.ts';

/** What cannot be right about the nodes of a cluster, for people. */
export function nodeWarnings(cluster: string, nodes: readonly NodeDocument[]): readonly string[] {
  const primaries = nodes.filter(({ role, sameAs }) => role === 'primary' && sameAs === null);
  if (primaries.length < 2) return [];
  const names = primaries.map(
    ({ name, origin, timeline }) =>
      `${name} (timeline ${timeline ?? 'unknown'}${origin === 'restore' ? ', made by walden restore' : ''})`,
  );
  return [
    `${primaries.length} servers of cluster ${cluster} take writes: ${names.join(' and ')}; only one may: stop the others`,
  ];
}
