// What the tests of the binding targets share: an edge that shows what is bound, words that lead to the emulator's
// products, and an eye on every request and every file that could give a private key away.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import {
  type ErrorShape,
  type Material,
  type MaterialOptions,
  mintMaterial,
  openWorld,
  proveSilence,
  type ResultShape,
  region,
  resultOf,
  type World,
  type WorldOptions,
  type WorldRun,
} from '../deploy-world.js'
import type { Edge } from '../emulator/edge/edge.js'
import type { RecordedRequest } from '../emulator/journal.js'
import type { PemPair } from '../emulator/key-pair.js'
import { keyPem } from '../mint.js'
import type { RunResult } from '../run-command.js'

// --- private keys, and where they must not be seen ---

const keyLines = new Set<string>()
const worlds: World[] = []
const leaks: string[] = []

export const mint = async (options: MaterialOptions = {}): Promise<Material> => {
  const material = await mintMaterial(options)
  const { privateKey } = material
  for (const form of ['pkcs8', privateKey.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'sec1'] as const) {
    // A line of fewer is padding more than key.
    for (const line of keyPem(privateKey, form).split('\n')) if (/^[\w+/=]{20,}$/.test(line)) keyLines.add(line)
  }
  return material
}

export const pair = ({ fullchain, key }: Material): PemPair => ({ fullchain, key })

const isKeyIn = (text: string): boolean =>
  [...keyLines].some((line) => text.includes(line) || text.includes(encodeURIComponent(line)))

/** The files below a folder, all but the keys of what is still wanted, and those of a layout that was asked for `here`. */
const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && !/\/(state\/deployments|here)\/.+\/privkey\.pem$/.test(path))

/** The last test of a file. */
export const proveNoKeyLeaks = async (t: Test): Promise<void> => {
  await t.test('no private key was in a URL, a header or a file that is not for it', async (t) => {
    const requests = worlds.flatMap(({ emulator }) => [...emulator.requests])
    t.ok(requests.length > 0 && keyLines.size > 0, 'something was sent, and there is something to hide')
    const shown = requests.filter(
      ({ target, headers }) =>
        isKeyIn(target) || isKeyIn(decodeURIComponent(target)) || isKeyIn(JSON.stringify(headers)),
    )
    t.same(
      shown.map(({ action }) => action),
      [],
    )
    t.same(leaks, [])
  })
  await proveSilence(t)
}

// --- the world ---

export interface BindingWorld extends World {
  readonly edge: Edge
  /** Leads what is dialled to the edge: no name is resolved. */
  readonly connect: readonly string[]
  /** To the API of the bucket. */
  readonly toBuckets: readonly string[]
  /** To CDN, DCDN and the certificate service. */
  readonly toEdges: readonly string[]
  /** `deploy --json` of the material; the exit status is looked at first. */
  give(t: Test, material: Material, words: readonly string[], more?: GiveOptions): Promise<Given>
  /** `sync --now --json` */
  syncNow(t: Test, code?: number, words?: readonly string[]): Promise<SyncShape>
  /** Requests of an action from the n-th on. */
  asked(action: string, from?: number): RecordedRequest[]
}

export interface GiveOptions extends WorldRun {
  readonly code?: number
}

export interface Given {
  readonly result: ResultShape
  readonly stderr: string
  /** What was asked for in this run. */
  readonly requests: readonly RecordedRequest[]
}

export interface SyncShape {
  readonly ok: boolean
  readonly results: readonly {
    readonly name: string
    readonly stages: ResultShape['stages']
    readonly pending: ResultShape['pending']
    readonly warnings: readonly string[]
    readonly error: ErrorShape | null
  }[]
}

export const openBinding = async (t: Test, options: WorldOptions = {}): Promise<BindingWorld> => {
  const world = await openWorld(t, options)
  worlds.push(world)
  const { emulator } = world
  const edge = await emulator.startEdge()
  const connect = ['--connect', `${edge.address}:${edge.port}`]
  const { url } = emulator
  const run: World['run'] = async (words, more) => {
    const result = await world.run(words, more)
    leaks.push(...filesBelow(world.folder).filter((path) => isKeyIn(readFileSync(path, 'utf8'))))
    return result
  }
  return {
    ...world,
    run,
    edge,
    connect,
    toBuckets: ['--region', region, '--bucket-endpoint', url],
    toEdges: ['--cdn-endpoint', url, '--dcdn-endpoint', url, '--cas-endpoint', url],
    give: async (t, material, words, { code = 0, ...more } = {}) => {
      const from = emulator.requests.length
      const input = material.fullchain + material.key
      const result = await run(['deploy', '--fullchain', '-', '--json', ...connect, ...words], { input, ...more })
      t.equal(result.code, code, result.code === code ? `exit ${code}` : result.stdout + result.stderr)
      return { result: resultOf(result), stderr: result.stderr, requests: emulator.requests.slice(from) }
    },
    syncNow: async (t, code = 0, words = []) => {
      const result = await run(['sync', '--now', '--json', ...connect, ...words])
      t.equal(result.code, code, result.code === code ? `sync: exit ${code}` : result.stdout + result.stderr)
      return lineOf<SyncShape>(result)
    },
    asked: (action, from = 0) => emulator.requests.slice(from).filter((request) => request.action === action),
  }
}

/** For `t.match`, which lets a list have more than its pattern: exactly these. */
export const only = (...patterns: readonly unknown[]) => ({ ...patterns, length: patterns.length })

/** The one JSON object that a command has printed. */
export const lineOf = <T>({ stdout }: RunResult): T => JSON.parse(stdout) as T

export const sha256Of = ({ x509 }: Material): string => x509.fingerprint256.replaceAll(':', '').toLowerCase()

export const countOf = (requests: readonly RecordedRequest[], action: string): number =>
  requests.filter((request) => request.action === action).length

/** `id status` of every step of a stage, in the order of the ids. */
export const stepsOf = ({ stages }: Pick<ResultShape, 'stages'>, target?: string): string[] =>
  stages
    .filter((stage) => target === undefined || stage.target === target)
    .flatMap(({ steps }) => steps.map(({ id, status }) => `${id} ${status}`))
    .sort()

/** What a PutCname said. */
export const readPut = ({ body }: RecordedRequest): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(
    ['Domain', 'CertId', 'Certificate', 'PrivateKey', 'PreviousCertId', 'Force'].map((name) => [
      name,
      new RegExp(`<${name}>([^<]*)</${name}>`).exec(body.toString('utf8'))?.[1],
    ]),
  )

/** The form of a call of CDN, DCDN or the certificate service; nothing of it may have stood in the URL. */
export const formOf = (request: RecordedRequest | undefined): Readonly<Record<string, string>> => {
  const { parameters = [] } = request ?? {}
  if (parameters.some(({ position }) => position !== 'body')) throw new Error('a parameter stood in the URL')
  return Object.fromEntries(parameters.map(({ name, value }) => [name, value]))
}
