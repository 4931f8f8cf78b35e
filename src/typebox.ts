/**
 * All that is used of TypeBox, in one place: the build makes one file of this module and what it imports (scripts/bundle.mjs).
 * TypeBox comes in 683 files, which cost each thread that loads them two thirds of a second and 25 MB.
 */
export { type Static, type TSchema, Type } from 'typebox';
export { Compile } from 'typebox/compile';
export { Value } from 'typebox/value';
