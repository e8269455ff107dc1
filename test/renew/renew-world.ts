// A CA that does as it is told, a folder to deploy into, and the commands that renew.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { makeFolder, remember } from '../issue-command.js'
import { type RunOptions, type RunResult, runCommand } from '../run-command.js'
import { type StubCa, startStubCa } from '../stub-ca.js'

export interface RenewResult extends RunResult {
  readonly json: RenewJson
}

export interface RenewJson {
  readonly ok: boolean
  readonly results: readonly {
    readonly name: string
    readonly due?: boolean | null
    readonly why?: string | null
    readonly renewal?: string | null
    readonly certificate: { readonly serial: string; readonly sha256: string } | null
    readonly order?: { readonly ca: string; readonly placed: boolean } | null
    readonly stages: readonly { readonly target: string; readonly status: string }[]
    readonly error: { readonly code: string; readonly message: string; readonly hint: string } | null
  }[]
  readonly error: { readonly code: string; readonly message: string } | null
}

export interface RenewWorld {
  readonly ca: StubCa
  readonly folder: string
  readonly state: string
  path(...parts: readonly string[]): string
  /** What lies in `latest/` of a folder that was deployed into. */
  deployed(name: string): string
  /** Where orders in progress are kept. */
  begun(name: string): string[]
  issue(words: readonly string[], options?: RunOptions): Promise<RunResult>
  renew(words?: readonly string[], options?: RunOptions): Promise<RenewResult>
  configure(text: string): void
}

/** The words of an order at the stub, answered by a web root that nobody looks into. */
export const at = (ca: StubCa, web: string, ...names: readonly string[]): string[] => [
  ...names.flatMap((name) => ['-d', name]),
  ...['--ca', ca.directoryUrl, '--agree-tos', '--webroot', web],
]

export const openRenewWorld = async (t: Test, ca?: StubCa): Promise<RenewWorld> => {
  const folder = makeFolder(t)
  const state = join(folder, 'state')
  const path = (...parts: readonly string[]) => join(folder, ...parts)
  const stub = ca ?? (await startStubCa(t))
  let config: readonly string[] = []
  const run = async (words: readonly string[], options: RunOptions): Promise<RunResult> => {
    const result = await runCommand([...words, '--state-dir', state, ...config], { folder, ...options })
    remember(result, state)
    return result
  }
  return {
    ca: stub,
    folder,
    state,
    path,
    deployed: (name) => readFileSync(path(name, 'latest', 'cert.pem'), 'utf8'),
    begun: (name) => listed(join(state, 'certificates', name, 'orders')),
    issue: (words, options = {}) => run(['issue-and-deploy', ...words], options),
    renew: async (words = [], options = {}) => {
      const result = await run(['renew', ...words, '--json'], options)
      const json = (result.stdout.startsWith('{') ? JSON.parse(result.stdout) : { results: [] }) as RenewJson
      return { ...result, json }
    },
    configure: (text) => {
      writeFileSync(path('acme-oss.yaml'), text)
      config = ['--config', path('acme-oss.yaml')]
    },
  }
}

const listed = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
