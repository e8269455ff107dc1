import { CertError } from './errors.js'
import { interrupted } from './patience.js'

export interface ProgramOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** In ms. */
  readonly timeout: number
  readonly signal: AbortSignal
  /** How many of the last lines that it printed an error tells; 1 unless told. */
  readonly lastLines?: number
}

// How long what an ended program has printed may be on its way, in ms.
const lastWords = 1000

/**
 * Runs a program of the user's without a shell, so that nothing in its words or environment is ever interpreted. The
 * one door to execa.
 * @returns what it printed on standard output
 * @throws CertError PROGRAM_FAILED
 */
export const runProgram = async (words: readonly string[], options: ProgramOptions): Promise<string> => {
  const { execa } = await import('execa')
  const [file = '', ...rest] = words
  const running = execa(file, rest, {
    // In a group of its own, so that what it started ends with it.
    detached: true,
    env: { ...options.environment },
    extendEnv: false,
    stdin: 'ignore',
    reject: false,
    // Would end this process on Ctrl-C before it has cleaned up: `signal` does what is needed.
    cleanup: false,
  })
  let timedOut = false
  let killing: NodeJS.Timeout | undefined
  const end = () => {
    endGroup(running.pid, 'SIGTERM')
    // What was told to end and does not is killed.
    killing ??= setTimeout(() => endGroup(running.pid, 'SIGKILL'), 5000)
  }
  const timer = setTimeout(() => {
    timedOut = true
    end()
  }, options.timeout)
  if (options.signal.aborted) end()
  options.signal.addEventListener('abort', end, { once: true })
  // What it left behind in the background may hold its pipes open for ever.
  running.once('exit', () => {
    setTimeout(() => {
      running.stdout.destroy()
      running.stderr.destroy()
    }, lastWords).unref()
  })
  const result = await running
  clearTimeout(timer)
  clearTimeout(killing)
  options.signal.removeEventListener('abort', end)
  if (options.signal.aborted) throw interrupted()
  if (result.exitCode === 0 && !timedOut) return result.stdout
  const how = timedOut
    ? `did not end within ${Math.round(options.timeout / 1000)} s`
    : result.exitCode !== undefined
      ? `ended with status ${result.exitCode}`
      : result.signal !== undefined
        ? `was ended by ${result.signal}`
        : `cannot be started (${result.code ?? 'unknown reason'})`
  const count = options.lastLines ?? 1
  const said = lastLines(result.stderr ?? '', count) || lastLines(result.stdout ?? '', count)
  throw new CertError('PROGRAM_FAILED', `${file} ${how}${said === '' ? '' : `: ${said}`}`, {
    hint: 'run it by hand with the same environment to see why',
  })
}

const endGroup = (pid: number | undefined, signal: NodeJS.Signals): void => {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // It has ended.
  }
}

const lastLines = (text: string, count: number): string =>
  text
    .trim()
    .split('\n')
    .slice(-count)
    .map((line) => line.trim().slice(0, 300))
    .join(' | ')

/**
 * Splits a command into words as a shell does, with quotes and backslashes, and interprets nothing else: no variables,
 * no wildcards, no second command.
 * @throws CertError USAGE
 */
export const splitWords = (command: string, flag: string): string[] => {
  const words: string[] = []
  const pattern = /\s*((?:[^\s"'\\]|\\[\s\S]|"(?:[^"\\]|\\[\s\S])*"|'[^']*')+)/y
  const text = command
  while (/\S/.test(text.slice(pattern.lastIndex))) {
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
