type CamelCase<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Name;

/** The same values under the names that code uses; of each member of a union. */
export type CamelCased<Values> = Values extends unknown
  ? { readonly [Key in keyof Values as CamelCase<Key & string>]: Values[Key] }
  : never;

export function camelCased<Values extends object>(values: Values): CamelCased<Values> {
  const entries = Object.entries(values).map(([key, value]: [string, unknown]) => [
    key.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase()),
    value,
  ]);
  // The names are those that the type works out.
  return Object.fromEntries(entries) as CamelCased<Values>;
}
