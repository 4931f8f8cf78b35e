/**
 * The step of the build behind the compiler: makes one file of each of these modules and of what it imports from packages, in
 * the place of what the compiler made of it. They work without it, but slower: every file that a thread loads takes it some
 * tenths of a millisecond.
 */
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const MODULES = ['src/typebox'];

for (const name of MODULES) {
  // From the source, each time: what stands in dist may be of another version of a package, or of a build that was broken off.
  await build({
    input: fileURLToPath(new URL(`../${name}.ts`, import.meta.url)),
    platform: 'node',
    logLevel: 'warn',
    output: { file: fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url)), format: 'esm', sourcemap: false },
  });
}
