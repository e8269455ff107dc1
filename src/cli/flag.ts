import { CertError } from '../errors.js'

/** One option of a command: on the command line, or as an environment variable `ACME_OSS_…`. */
export interface Flag<T> {
  readonly kind: 'value' | 'list' | 'switch'
  readonly describe: string
  /** What stands for its value in the help: `FILE`. */
  readonly placeholder?: string
  readonly alias?: string
  /** A variable of its name says nothing: it was set for another command, and this one would do harm by it. */
  readonly isTyped?: true
  /** Turns what was given, once or more often or not at all, into the value. @throws CertError USAGE */
  read(given: readonly string[], name: string): T
}

export type Flags = Readonly<Record<string, Flag<unknown>>>
export type Values<F extends Flags> = { readonly [Name in keyof F]: F[Name] extends Flag<infer T> ? T : never }

interface About {
  readonly placeholder?: string
  readonly alias?: string
  /** A variable of its name says nothing: it was set for another command, and this one would do harm by it. */
  readonly isTyped?: true
}

/** A text, given once. */
export const text = (describe: string, about: About = {}): Flag<string | undefined> => ({
  kind: 'value',
  describe,
  ...about,
  read: single,
})

/** A text that can be given several times, or with commas between in the environment. */
export const list = (describe: string, about: About = {}): Flag<readonly string[]> => ({
  kind: 'list',
  describe,
  ...about,
  read: (given, name) => given.map((value) => nonEmpty(value, name)),
})

export const toggle = (describe: string, about: About = {}): Flag<boolean> => ({
  kind: 'switch',
  describe,
  ...about,
  read: (given, name) => {
    const value = single(given, name)
    if (value === undefined) return false
    const meaning = { true: true, '1': true, yes: true, on: true, false: false, '0': false, no: false, off: false }[
      value.toLowerCase()
    ]
    if (meaning === undefined) {
      throw new CertError('USAGE', `--${name} is on or off, and was given "${value}"`, {
        hint: `leave it out, or set ${variableOf(name)}=1`,
      })
    }
    return meaning
  },
})

/** A whole number from `min` to `max`. */
export const wholeNumber = (
  describe: string,
  { min, max, fallback, ...about }: About & { readonly min: number; readonly max: number; readonly fallback: number },
): Flag<number> => ({
  kind: 'value',
  describe: `${describe} [${fallback}]`,
  ...about,
  read: (given, name) => {
    const value = single(given, name)
    if (value === undefined) return fallback
    if (!/^\d{1,9}$/.test(value) || Number(value) < min || Number(value) > max) {
      throw new CertError('USAGE', `--${name} takes a whole number from ${min} to ${max}, not "${value}"`, {
        hint: `such as --${name} ${fallback}`,
      })
    }
    return Number(value)
  },
})

/** One of a few words. */
export const choice = <T extends string>(
  describe: string,
  words: readonly T[],
  about: About = {},
): Flag<T | undefined> => ({
  kind: 'value',
  describe: `${describe}: ${words.join(', ')}`,
  ...about,
  read: (given, name) => {
    const value = single(given, name)
    const word = words.find((one) => one === value)
    if (value !== undefined && word === undefined) {
      throw new CertError('USAGE', `--${name} cannot be "${value}"`, { hint: `one of: ${words.join(', ')}` })
    }
    return word
  },
})

const single = (given: readonly string[], name: string): string | undefined => {
  if (given.length > 1) {
    throw new CertError('USAGE', `--${name} was given ${given.length} times`, { hint: 'give it once' })
  }
  return given[0] === undefined ? undefined : nonEmpty(given[0], name)
}

const nonEmpty = (value: string, name: string): string => {
  if (value.trim() === '') {
    throw new CertError('USAGE', `--${name} was given without a value`, {
      hint: `write the value behind it, or leave ${variableOf(name)} unset`,
    })
  }
  return value
}

/** The same flags, of which a variable says nothing. */
export const typed = <F extends Flags>(flags: F): F =>
  Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, { ...flag, isTyped: true }])) as unknown as F

/** `--oss-cname` is `ACME_OSS_OSS_CNAME`. */
export const variableOf = (name: string): string => `ACME_OSS_${name.toUpperCase().replaceAll('-', '_')}`

/** What the environment gives for a flag; an empty variable counts as none. */
export const fromEnvironment = (
  flag: Flag<unknown>,
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] => {
  const value = flag.isTyped ? undefined : environment[variableOf(name)]
  if (value === undefined || value === '') return []
  return flag.kind === 'list'
    ? value
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
    : [value]
}
