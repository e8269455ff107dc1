// What the tests of the configuration share: a world with a home of its own, and files in it. What is asked again and
// again is asked in this process; `run` is the command as it is published.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Test } from 'tap'
import { type Material, openWorld, type ResultShape, type World, type WorldRun } from '../deploy-world.js'
import type { RunResult } from '../run-command.js'

export interface ConfigWorld extends World {
  /** Writes a file, with the folders above it; gives back its path. */
  write(path: string, content: string | Buffer): string
  /** What `config check` of such a file says. */
  check(content: string | Buffer, name?: string): Promise<CheckResult>
  /** The targets that a certificate would go to, by `deploy --dry-run`; nothing is reached for. */
  planned(material: Material, words: readonly string[], options?: WorldRun): Promise<string[]>
  /** The same by certbot's hook, for a lineage of this name. */
  hooked(name: string, material: Material, words: readonly string[], options?: WorldRun): Promise<RunResult>
}

export interface CheckResult extends RunResult {
  readonly json: {
    readonly ok: boolean
    readonly path?: string
    readonly certificates?: readonly {
      readonly name: string
      readonly domains: readonly string[]
      readonly source: string
      readonly deploy: readonly string[]
    }[]
    readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null
  }
}

export const openConfigWorld = async (t: Test): Promise<ConfigWorld> => {
  const world = await openWorld(t)
  const write: ConfigWorld['write'] = (path, content) => {
    const file = world.path(path)
    mkdirSync(dirname(file), { recursive: true })
    // Whatever the umask: others must not be able to write it.
    writeFileSync(file, content, { mode: 0o644 })
    return file
  }
  const run: World['run'] = (words, { environment, ...more } = {}) =>
    world.run(words, { folder: world.folder, ...more, environment: { HOME: world.path('home'), ...environment } })
  const call: World['call'] = (words, { environment, ...more } = {}) =>
    world.call(words, { folder: world.folder, ...more, environment: { HOME: world.path('home'), ...environment } })
  return {
    ...world,
    write,
    run,
    call,
    check: async (content, name = 'acme-oss.yaml') => {
      const result = await call(['config', 'check', '--json', '--config', write(name, content)], { terse: true })
      return { ...result, json: JSON.parse(result.stdout) as CheckResult['json'] }
    },
    planned: async ({ fullchain, key }, words, options = {}) => {
      const line = ['deploy', '--fullchain', '-', '--dry-run', '--json', ...words]
      return targetsOf(await call(line, { input: fullchain + key, ...options }))
    },
    hooked: (name, { fullchain, key }, words, { environment, ...more } = {}) => {
      write(`live/${name}/fullchain.pem`, fullchain)
      write(`live/${name}/privkey.pem`, key)
      return call(['hook', 'certbot', '--json', ...words], {
        ...more,
        environment: { RENEWED_LINEAGE: world.path('live', name), ...environment },
      })
    },
  }
}

/** The targets of a result, or what was wrong. */
export const targetsOf = ({ stdout }: RunResult): string[] => {
  const { stages, error } = JSON.parse(stdout) as Pick<ResultShape, 'stages' | 'error'>
  return error === null ? stages.map(({ target }) => target) : [`${error.code}: ${error.message}`]
}

/** What was wrong with the whole of a run, as `--json` prints it. */
export const errorOf = ({ stdout }: RunResult): CheckResult['json']['error'] =>
  (JSON.parse(stdout) as Pick<CheckResult['json'], 'error'>).error

/** Entries that write into folders: `{ 'example.com': ['example.com'] }`, each into one of its name. */
export const entriesFor = (names: Readonly<Record<string, readonly string[]>>): string =>
  `certificates:\n${Object.entries(names)
    .map(
      ([name, domains]) =>
        `  ${JSON.stringify(name)}:\n    domains: ${JSON.stringify(domains)}\n    deploy: [{ directory: { path: ${JSON.stringify(`out/${name}`)} } }]\n`,
    )
    .join('')}`

/** A few at a time, since each is a process. */
export const inTurns = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  const left = items.values()
  await Promise.all(
    [1, 2, 3, 4].map(async () => {
      for (const item of left) await work(item)
    }),
  )
}
