/** What a line of the option table may be. */

interface OptionBase {
  readonly doc: string;
  readonly required: boolean;
  /** Filled in when the key is absent: a value, or words for what is worked out by the loader. */
  readonly default?: number | { readonly words: string };
}

/** An absolute path; `file`: of a file that must be there already. */
interface PathOption extends OptionBase {
  readonly type: 'path';
  readonly maxBytes?: number;
  readonly file?: true;
}

/** Text that is not empty; `secret` text is never shown. */
interface TextOption extends OptionBase {
  readonly type: 'text';
  readonly secret?: true;
}

export interface ChoiceOption extends OptionBase {
  readonly type: 'choice';
  readonly choices: readonly string[];
}

interface IntegerOption extends OptionBase {
  readonly type: 'integer';
  readonly minimum: number;
  readonly maximum: number;
  readonly unit?: string;
}

/** A list of names without repetition, at least one. */
interface NamesOption extends OptionBase {
  readonly type: 'names';
}

/** The same of words that are known. */
export interface ChoicesOption extends OptionBase {
  readonly type: 'choices';
  readonly choices: readonly string[];
}

/** A program and its arguments. */
interface CommandOption extends OptionBase {
  readonly type: 'command';
}

/** `true` or `false`. */
interface SwitchOption extends OptionBase {
  readonly type: 'switch';
}

/** How long a store keeps what is stored from being removed, and whether anybody may shorten that. */
export interface ObjectLock {
  /** `governance`: who has a special permission may. `compliance`: nobody. */
  readonly mode: 'compliance' | 'governance';
  readonly days: number;
}

/** An ObjectLock, written like `compliance 14 days`. */
interface LockOption extends OptionBase {
  readonly type: 'lock';
}

/** Whole seconds, written like `5s`, `2min` or `1h`, as PostgreSQL writes them, or like `6 hours`, `14 days`, `2 weeks`. */
interface DurationOption extends OptionBase {
  readonly type: 'duration';
  readonly minimumSeconds: number;
  readonly maximumSeconds: number;
}

export type Option =
  | PathOption
  | TextOption
  | ChoiceOption
  | IntegerOption
  | NamesOption
  | ChoicesOption
  | CommandOption
  | SwitchOption
  | LockOption
  | DurationOption;

export type Options = Readonly<Record<string, Option>>;

export interface Section {
  /** Whether the header is `[kind.NAME]`. */
  readonly named: boolean;
  readonly doc: string;
  readonly options: Options;
  /** Options that stand in the section too, by the value of the one named `by`. */
  readonly variants?: { readonly by: string; readonly of: Readonly<Record<string, Variant>> };
}

export interface Variant {
  readonly doc: string;
  readonly options: Options;
}
