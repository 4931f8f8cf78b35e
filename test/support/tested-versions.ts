import { POSTGRES_VERSIONS, type PostgresVersion } from './postgres-binaries.ts';

const DEFAULT = '15,17';

/**
 * The versions that a suite on real servers runs on: those of WALDEN_TEST_VERSIONS, such as `13,18`. Its test files are
 * known by importing this one: scripts/test-matrix.mjs runs them for one version after the other.
 */
export const testedVersions: readonly PostgresVersion[] = parseVersions(process.env['WALDEN_TEST_VERSIONS'] ?? DEFAULT);

/** The newest of them: for a suite that is about Walden rather than about differences of versions. */
export const newestVersion: PostgresVersion = testedVersions.at(-1)!;

function parseVersions(text: string): readonly PostgresVersion[] {
  const words = text.split(',').map((word) => word.trim());
  const unknown = words.filter((word) => !POSTGRES_VERSIONS.some((version) => word === String(version)));
  if (unknown.length > 0)
    throw new Error(`WALDEN_TEST_VERSIONS=${text} names no version of PostgreSQL: ${unknown[0]!}`);
  return POSTGRES_VERSIONS.filter((version) => words.includes(String(version)));
}
