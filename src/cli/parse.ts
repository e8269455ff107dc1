import yargs from 'yargs'
import { CertError } from '../errors.js'
import type { Command } from './command.js'
import { type Flag, type Flags, fromEnvironment, type Values } from './flag.js'

/**
 * Reads a command's own words; the one door to yargs. A flag on the command line beats its environment variable.
 * @throws CertError USAGE
 */
export const parseCommand = async <F extends Flags>(
  command: Command<F>,
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Values<F>> => {
  const parser = yargs()
    .locale('en')
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'duplicate-arguments-array': true,
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .version(false)
    .help(false)
    .exitProcess(false)
    .showHelpOnFail(false)
    .strict()
    .fail((message, error) => {
      throw usageError(message || error.message, command, words)
    })
  for (const [name, flag] of Object.entries(command.flags)) parser.option(name, optionOf(flag))
  const parsed = await parser.parseAsync(words.map((word) => plainSwitch(word, command)))
  const [extra] = parsed._
  if (extra !== undefined) throw usageError(`Unknown argument: ${String(extra)}`, command, words)
  const values = Object.entries(command.flags).map(([name, flag]) => {
    const given = givenWords(parsed[name])
    return [name, flag.read(given.length > 0 ? given : fromEnvironment(flag, name, environment), name)]
  })
  // Every name of `flags` is there, each read by its own flag.
  return Object.fromEntries(values) as Values<F>
}

/** yargs takes `--dry-run=1` for false: a switch's value is read here, where whatever is not on or off is refused. */
const plainSwitch = (word: string, { flags }: Command<Flags>): string => {
  const [, name = '', value = ''] = /^--([^=]+)=([\s\S]*)$/.exec(word) ?? []
  const flag = Object.hasOwn(flags, name) ? flags[name] : undefined
  return flag?.kind === 'switch' ? `--${name}=${flag.read([value], name)}` : word
}

const optionOf = (flag: Flag<unknown>) => ({
  ...(flag.alias !== undefined && { alias: flag.alias }),
  ...(flag.kind === 'switch' ? { type: 'boolean' as const } : { type: 'string' as const, requiresArg: true }),
  ...(flag.kind === 'list' && { array: true }),
})

const givenWords = (value: unknown): string[] => {
  if (value === undefined) return []
  return (Array.isArray(value) ? value : [value]).map(String)
}

const usageError = (message: string, command: Command<Flags>, words: readonly string[]): CertError => {
  const unknown = /^Unknown arguments?: (.+)$/.exec(message)?.[1]?.split(', ')
  const help = `acme-oss ${command.name} --help lists what there is`
  if (unknown === undefined) {
    const missing = /^Not enough arguments following: (.+)$/.exec(message)?.[1]
    if (missing === undefined) return new CertError('USAGE', message.replace(/\.$/, ''), { hint: help })
    const dashes = missing.length === 1 ? '-' : '--'
    return new CertError('USAGE', `${dashes}${missing} was given without a value`, { hint: help })
  }
  const [first = ''] = unknown
  const isFlag = words.some((word) => word === `--${first}` || word.startsWith(`--${first}=`))
  const near = nearest(first, Object.keys(command.flags))
  return new CertError('USAGE', `acme-oss ${command.name} does not know ${isFlag ? `--${first}` : `"${first}"`}`, {
    hint: near === undefined ? help : `did you mean --${near}? ${help}`,
  })
}

/** The known word that takes the fewest edits, if it takes few enough to be what was meant. */
export const nearest = (word: string, known: readonly string[]): string | undefined => {
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
    .sort((a, b) => a.distance - b.distance)
  const [best] = ranked
  return best !== undefined && best.distance <= Math.max(1, Math.floor(word.length / 3)) ? best.candidate : undefined
}

const editDistance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? a.length
}
