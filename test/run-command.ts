import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The command as it was built beside the tests; what tap preloads for coverage is handed on to it. */
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url))

export interface RunOptions {
  /** The whole environment of the command, beside PATH and what coverage needs. */
  readonly environment?: Readonly<Record<string, string>>
  readonly input?: string | Buffer
  readonly folder?: string
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
export const runCommand = (words: readonly string[], options: RunOptions = {}): Promise<RunResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, main, ...words], {
      cwd: options.folder,
      env: { PATH: process.env['PATH'], ...coverage(), HOME: '/nonexistent', ...options.environment },
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

/** tap tells its child processes by the environment where to leave their coverage. */
const coverage = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && /^(TAP|_TAPJS|NODE_V8_COVERAGE|NODE_OPTIONS)/.test(entry[0]),
    ),
  )
