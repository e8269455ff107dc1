import yargs from 'yargs'
import { CertError, toCertError } from '../errors.js'
import { nearest } from '../nearest.js'
import type { Command, Layer, Parsed } from './command.js'
import { type Flag, type Flags, fromEnvironment, type Values, variableOf } from './flag.js'

/**
 * Reads a command's own words; the one door to yargs. A flag on the command line beats its environment variable, which
 * beats the configuration file.
 * @throws CertError USAGE
 */
export const parseCommand = async <F extends Flags>(
  command: Command<F>,
  words: readonly string[],
  environment: Environment,
): Promise<Parsed<F>> => {
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
      'populate--': true,
    })
    .version(false)
    .help(false)
    .exitProcess(false)
    .showHelpOnFail(false)
    .strictOptions()
    .fail((message, error) => {
      throw usageError(message || error.message, command, words)
    })
  for (const [name, flag] of Object.entries({ ...command.flags, ...command.late })) parser.option(name, optionOf(flag))
  const parsed = await parser.parseAsync(plainSwitches(words, command))
  const read = <G extends Flags>(flags: G, file: Layer = {}, variables = environment): Values<G> => {
    const values = Object.entries(flags).map(([name, flag]) => {
      const layers = [givenWords(parsed[name]), fromEnvironment(flag, name, variables), file[name] ?? []]
      return [name, flag.read(layers.find((given) => given.length > 0) ?? [], name)]
    })
    // Every name of `flags` is there, each read by its own flag.
    return Object.fromEntries(values) as Values<G>
  }
  const ignored: string[] = []
  const usable = command.isForgiving ? unreadableTaken(command, environment, ignored) : environment
  const others = [...parsed._, ...givenWords(parsed['--'])].map(String)
  requireWords(command, others)
  return { values: read(command.flags, {}, usable), ignored, words: others, read }
}

type Environment = Readonly<Record<string, string | undefined>>

/** The environment without the variables of the command's own flags that cannot be read. */
const unreadableTaken = ({ flags }: Command<Flags>, environment: Environment, ignored: string[]): Environment => {
  const unreadable = Object.entries(flags).flatMap(([name, flag]) => {
    try {
      flag.read(fromEnvironment(flag, name, environment), name)
      return []
    } catch (error) {
      ignored.push(`${variableOf(name)} is passed over: ${toCertError(error).message}`)
      return [[variableOf(name), undefined]]
    }
  })
  return { ...environment, ...Object.fromEntries(unreadable) }
}

const requireWords = (command: Command<Flags>, words: readonly string[]): void => {
  const { usage, least = 0, most = 0 } = command.words ?? {}
  const extra = words[most]
  if (extra !== undefined) {
    throw new CertError('USAGE', `acme-oss ${command.name} does not know "${extra}"`, {
      hint: `acme-oss ${command.name} --help lists what there is`,
    })
  }
  if (words.length < least) {
    throw new CertError('USAGE', `acme-oss ${command.name} was given too little`, {
      hint: `acme-oss ${command.name} ${usage}`,
    })
  }
}

/** What stands behind `--` is not ours to read. */
const plainSwitches = (words: readonly string[], command: Command<Flags>): string[] => {
  const end = [...words, '--'].indexOf('--')
  return words.map((word, i) => (i < end ? plainSwitch(word, command) : word))
}

/** yargs takes `--dry-run=1` for false: a switch's value is read here, where whatever is not on or off is refused. */
const plainSwitch = (word: string, command: Command<Flags>): string => {
  const flags = { ...command.flags, ...command.late }
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
  const near = nearest(first, Object.keys({ ...command.flags, ...command.late }))
  return new CertError('USAGE', `acme-oss ${command.name} does not know ${isFlag ? `--${first}` : `"${first}"`}`, {
    hint: near === undefined ? help : `did you mean --${near}? ${help}`,
  })
}
