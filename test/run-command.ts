import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The command as it is published. */
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/**
 * tap has every Node process below it load what watches it, which takes longer than most of our commands do.
 * Here they run as they run at a user's.
 */
export const commandLine = (words: readonly string[], nodeOptions: readonly string[] = []): [string, string[]] => [
  '/usr/bin/env',
  ['-u', 'NODE_OPTIONS', process.execPath, ...nodeOptions, main, ...words],
]

export interface RunOptions {
  /** In this process, where none has to be started: see call-command.ts. */
  readonly here?: boolean
  /** The whole environment of the command, beside PATH. */
  readonly environment?: Readonly<Record<string, string>>
  readonly input?: string | Buffer
  readonly folder?: string
  /** For Node itself, such as `--import=...`. */
  readonly nodeOptions?: readonly string[]
  /** Called with the process as soon as it runs. */
  readonly onStart?: (child: ChildProcess) => void
}

export interface RunResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `acme-oss` as a user would, and waits until it ends. */
export const runCommand = (words: readonly string[], options: RunOptions = {}): Promise<RunResult> => {
  if (options.here) return import('./call-command.js').then(({ callCommand }) => callCommand(words, options))
  return new Promise((resolve, reject) => {
    const child = spawn(...commandLine(words, options.nodeOptions), {
      cwd: options.folder,
      env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...options.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    child.stdout.on('data', (piece: Buffer) => stdout.push(piece))
    child.stderr.on('data', (piece: Buffer) => stderr.push(piece))
    child.on('error', reject)
    child.on('close', (code, signal) =>
      resolve({ code, signal, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }),
    )
    // A command that refuses its arguments never reads what it was given.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
    options.onStart?.(child)
  })
}
