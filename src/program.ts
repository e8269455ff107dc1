import { CertError } from './errors.js'

export interface ProgramOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** In ms. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/**
 * Runs a program of the user's without a shell, so that nothing in its words or environment is ever interpreted. The
 * one door to execa.
 * @returns what it printed on standard output
 * @throws CertError PROGRAM_FAILED
 */
export const runProgram = async (words: readonly string[], options: ProgramOptions): Promise<string> => {
  const { execa } = await import('execa')
  const [file = '', ...rest] = words
  const result = await execa(file, rest, {
    env: { ...options.environment },
    extendEnv: false,
    stdin: 'ignore',
    timeout: options.timeout,
    cancelSignal: options.signal,
    reject: false,
    // A program that was told to end and does not is killed.
    forceKillAfterDelay: 5000,
  })
  if (!result.failed) return result.stdout
  const how = result.timedOut
    ? `did not end within ${Math.round(options.timeout / 1000)} s`
    : result.isCanceled
      ? 'was interrupted'
      : result.exitCode !== undefined
        ? `ended with status ${result.exitCode}`
        : result.signal !== undefined
          ? `was ended by ${result.signal}`
          : `cannot be started (${result.code ?? 'unknown reason'})`
  const said = lastLine(result.stderr ?? '') || lastLine(result.stdout ?? '')
  throw new CertError('PROGRAM_FAILED', `${file} ${how}${said === '' ? '' : `: ${said}`}`, {
    hint: 'run it by hand with the same environment to see why',
  })
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.trim().slice(0, 300) ?? ''

/**
 * Splits a command into words as a shell does, with quotes and backslashes, and interprets nothing else: no variables,
 * no wildcards, no second command.
 * @throws CertError USAGE
 */
export const splitWords = (command: string, flag: string): string[] => {
  const words: string[] = []
  const pattern = /\s*((?:[^\s"'\\]|\\[\s\S]|"(?:[^"\\]|\\[\s\S])*"|'[^']*')+)/y
  const text = command.trimEnd()
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text)
    if (match === null) {
      throw new CertError('USAGE', `--${flag} has a quote without its end`, {
        hint: 'close every quote in the command',
      })
    }
    words.push((match[1] ?? '').replace(/\\([\s\S])|"((?:[^"\\]|\\[\s\S])*)"|'([^']*)'/g, unquote))
  }
  if (words.length === 0)
    throw new CertError('USAGE', `--${flag} names no program`, { hint: 'give the path of a program' })
  return words
}

const unquote = (_all: string, escaped?: string, double?: string, single?: string): string =>
  escaped ?? single ?? (double ?? '').replace(/\\(["\\$`])/g, '$1')
