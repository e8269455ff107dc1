import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The command as it is installed. */
export const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface Run {
  readonly ms: number
  readonly code: number | null
  readonly errors: string
}

/** Runs a program to its end; from start to exit, start-up included. */
export const run = (words: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Run> =>
  new Promise((resolve, reject) => {
    const start = performance.now()
    const child = spawn(process.execPath, [...words], {
      env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const errors: Buffer[] = []
    child.stderr.on('data', (piece: Buffer) => errors.push(piece))
    child.on('error', reject)
    child.on('close', (code) =>
      resolve({ ms: performance.now() - start, code, errors: Buffer.concat(errors).toString() }),
    )
  })

/** Stops the bench at the first run that did not do its work: a failed run has no time. */
export const requireDone = ({ code, errors }: Run): void => {
  if (code !== 0) throw new Error(`exit ${code}\n${errors}`)
}

const tellMemory = `data:text/javascript,${encodeURIComponent(
  "process.on('exit', () => process.stderr.write('peak ' + process.resourceUsage().maxRSS + ' KiB'))",
)}`

/** The most memory that a program ever has, in MiB; a run of its own, since asking for it takes time. */
export const peakMemory = async (words: readonly string[]): Promise<number> => {
  const done = await run([`--import=${tellMemory}`, ...words])
  requireDone(done)
  return Math.round(Number(/peak (\d+) KiB$/.exec(done.errors)?.[1]) / 1024)
}

export const summary = (values: readonly number[]): string => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0
  const [least = 0, most = 0] = [sorted[0], sorted.at(-1)]
  return `${Math.round(middle)} (${Math.round(least)}-${Math.round(most)})`
}

export const row = (...cells: readonly (string | number)[]): void =>
  void process.stdout.write(`| ${cells.join(' | ')} |\n`)
