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

const tellCosts = `data:text/javascript,${encodeURIComponent(`process.on('exit', () => {
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
  process.stderr.write('costs ' + maxRSS + ' ' + (userCPUTime + systemCPUTime))
})`)}`

export interface Costs {
  /** The most that it ever had, in MiB. */
  readonly memory: number
  /** What it kept processors busy for, in ms: of all figures the one that a busy machine changes least. */
  readonly busy: number
}

/** What a program costs beside time; a run of its own, since asking for it takes time. */
export const costsOf = async (words: readonly string[]): Promise<Costs> => {
  const done = await run([`--import=${tellCosts}`, ...words])
  requireDone(done)
  const [, kibibytes, microseconds] = /costs (\d+) (\d+)$/.exec(done.errors) ?? []
  return { memory: Math.round(Number(kibibytes) / 1024), busy: Math.round(Number(microseconds) / 1000) }
}

export const summary = (values: readonly number[]): string => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0
  const [least = 0, most = 0] = [sorted[0], sorted.at(-1)]
  return `${Math.round(middle)} (${Math.round(least)}-${Math.round(most)})`
}

export const row = (...cells: readonly (string | number)[]): void =>
  void process.stdout.write(`| ${cells.join(' | ')} |\n`)
