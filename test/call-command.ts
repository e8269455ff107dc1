// A command called in this process: all of `acme-oss` but its first file, which reads the process and reports what was
// thrown. A fifth of what a process of its own costs; for tables of cases, beside runs that show the whole. Node reads
// relative paths from where this process stands: the words must hold none.
import { setMaxListeners } from 'node:events'
import { Readable, Writable } from 'node:stream'
import type { Command } from '../src/cli/command.js'
import type { Flags } from '../src/cli/flag.js'
import { errorJson, printJson } from '../src/cli/json.js'
import { parseCommand } from '../src/cli/parse.js'
import { isInputError, toCertError } from '../src/errors.js'
import { redact } from '../src/secret.js'
import type { RunOptions, RunResult } from './run-command.js'

export const callCommand = async (
  [name = '', ...rest]: readonly string[],
  { input = '', folder = process.cwd(), nodeOptions = [], ...options }: RunOptions,
): Promise<RunResult> => {
  if (nodeOptions.length > 0) throw new Error('no Node is started that could be given options')
  const environment = { PATH: process.env['PATH'], HOME: '/nonexistent', ...options.environment }
  const { command } = (await import(`../src/cli/${name}.js`)) as { readonly command: Command<Flags> }
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  const interruption = new AbortController()
  setMaxListeners(0, interruption.signal)
  // One that never ends must not outlive the test.
  const guard = setTimeout(() => interruption.abort(), 45_000)
  const surroundings = {
    environment,
    input: Readable.from([Buffer.from(input)]),
    output: into(stdout),
    errors: into(stderr),
    isTerminal: false,
    isRoot: process.getuid?.() === 0,
    homeFolder: environment.HOME,
    folder,
    userId: process.getuid?.(),
    now: () => new Date(),
    signal: interruption.signal,
  }
  const work = async (): Promise<number> => {
    const parsed = await parseCommand(command, rest, environment)
    return command.run(parsed.values, surroundings, parsed)
  }
  const code = await work().catch((thrown: unknown) => {
    const error = toCertError(thrown)
    if (error.code === 'INTERNAL') throw thrown
    if (rest.includes('--json')) surroundings.output.write(`${printJson(failure(name, errorJson(error)))}\n`)
    else {
      const hint = error.hint === undefined ? '' : `  what to do: ${error.hint}\n`
      surroundings.errors.write(redact(`error: ${error.message}\n${hint}`))
    }
    return isInputError(error) ? 2 : 1
  })
  clearTimeout(guard)
  return { code, signal: null, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
}

const failure = (command: string, error: object) => ({
  schema: 'acme-oss/1',
  command,
  ok: false,
  certificate: null,
  stages: [],
  pending: [],
  warnings: [],
  error,
})

const into = (pieces: Buffer[]): Writable =>
  new Writable({
    write: (piece: Buffer | string, _encoding, done) => {
      pieces.push(Buffer.from(piece))
      done()
    },
  })
