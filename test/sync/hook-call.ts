// What the tests of the wanted deployments share: a client's call of our hook, the timer's call of `sync`, and a look at
// what lies in the state folder and in the bucket afterwards.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import {
  bucket,
  daysFromNow,
  deploymentsIn,
  fileNames,
  type Material,
  mintMaterial,
  prefix,
  provesFiles,
  region,
  sha256,
  stepsIn,
  until,
  type World,
  type WorldRun,
} from '../deploy-world.js'
import type { Fault, FaultHandle } from '../emulator/fault.js'
import { keyPem } from '../mint.js'
import type { RunResult } from '../run-command.js'

/** Certificates of the same names, each newer than the one before. */
export const mintSeries = (count: number, names?: readonly string[]): Promise<Material[]> =>
  Promise.all(
    Array.from({ length: count }, (_, i) =>
      mintMaterial({
        ...(names && { names }),
        notBefore: daysFromNow(i - 2 * count),
        notAfter: daysFromNow(90 + i - 2 * count),
      }),
    ),
  )

/** The folder of a lineage, as certbot keeps it; each certificate has one of its own, so that hooks can run at once. */
export const writeLineage = (world: World, material: Material, name = 'example.com'): string => {
  const folder = world.path('lineages', material.archive, name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'fullchain.pem'), material.fullchain)
  writeFileSync(join(folder, 'privkey.pem'), material.key, { mode: 0o600 })
  return folder
}

export interface HookCall extends WorldRun {
  /** The lineage's. */
  readonly name?: string
  /** The target flags; those of the world's bucket unless told. */
  readonly words?: readonly string[]
}

/** The target flags for the world's bucket, under another prefix. */
export const toPrefix = ({ emulator }: World, under: string): string[] => [
  ...['--bucket', bucket, '--region', region, '--prefix', under, '--endpoint', emulator.url],
]

/** `hook certbot`, as certbot calls it. */
export const callHook = (world: World, material: Material, call: HookCall = {}): Promise<RunResult> => {
  const { name, words = world.toBucket, environment, ...run } = call
  return world.run(['hook', 'certbot', ...words], {
    ...run,
    environment: { RENEWED_LINEAGE: writeLineage(world, material, name), ...environment },
  })
}

export const sync = (world: World, words: readonly string[] = ['--now'], run: WorldRun = {}): Promise<RunResult> =>
  world.run(['sync', ...words], run)

export const ends = (t: Test, run: RunResult, code: number): void =>
  void t.equal(run.code, code, run.code === code ? `exit ${code}` : `${run.stdout}${run.stderr} ${run.signal}`)

/** Passes by itself, and asks to be left alone for longer than any run lasts, so that no test waits for it. */
export const unavailable: Fault = { status: 503, code: 'ServiceUnavailable', headers: { 'Retry-After': '3600' } }

export const cloudDown = (world: World): FaultHandle => world.emulator.fail({}, unavailable)

// --- what `status` and `sync` print with --json ---

export interface PendingShape {
  readonly target: string | null
  readonly step: string | null
  readonly next: string | null
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null
}

export interface NamedResult {
  readonly name: string
  readonly certificate: { readonly archive: string } | null
  /** Of `status`. */
  readonly concerns?: readonly { readonly kind: string; readonly place: string | null; readonly sentence: string }[]
  readonly stages: readonly {
    readonly target: string
    readonly status: string
    readonly steps: readonly { readonly id: string; readonly status: string }[]
  }[]
  readonly pending: readonly PendingShape[]
  readonly warnings: readonly string[]
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null
}

export interface ResultsShape {
  readonly schema: string
  readonly command: string
  readonly ok: boolean
  readonly results: readonly NamedResult[]
  readonly warnings: readonly string[]
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null
}

/** One line, one object. */
export const resultsOf = ({ stdout, stderr, code }: RunResult): ResultsShape => {
  if (!/^\{[^\n]*\}\n$/.test(stdout)) throw new Error(`not one JSON object, exit ${code}: ${stdout}${stderr}`)
  return JSON.parse(stdout) as ResultsShape
}

/** What `status` says, and that its exit status says the same. */
export const statusOf = async (t: Test, world: World, words: readonly string[] = []): Promise<ResultsShape> => {
  const run = await world.call(['status', '--json', ...words])
  const results = resultsOf(run)
  ends(t, run, results.ok ? 0 : 1)
  return results
}

export const pendingOf = ({ results }: ResultsShape): PendingShape[] => results.flatMap(({ pending }) => pending)

// --- what lies there ---

const filesBelow = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
    : []

/** The files below the state folder that hold a private key, whatever they are called. */
export const keysIn = (state: string): string[] =>
  filesBelow(state).filter((name) => readFileSync(join(state, name), 'latin1').includes('PRIVATE KEY'))

/** No key of these anywhere in the state folder, in whatever form. */
export const provesNoKey = (t: Test, world: World, ...materials: readonly Material[]): void => {
  t.same(keysIn(world.state), [], 'no private key is left in the state folder')
  const all = filesBelow(world.state)
    .map((name) => readFileSync(join(world.state, name), 'latin1'))
    .join('\n')
  for (const { privateKey } of materials) {
    const body = keyPem(privateKey, 'pkcs8').split('\n')[1] ?? ''
    t.notOk(all.includes(body), 'not a line of it either')
  }
}

/** `latest/` holds this certificate, whole. */
export const provesLatest = (t: Test, world: World, material: Material, under = prefix): void =>
  provesFiles(t, material, (file) => world.objects.get(`${under}latest/${file}`)?.body)

/** The locks that are left. */
export const locksIn = (state: string): string[] =>
  existsSync(join(state, 'locks')) ? readdirSync(join(state, 'locks')) : []

/** A lock of this name as another process of this machine holds it, until it is released. */
export const holdLock = (t: Test, world: World, name = 'example.com'): { readonly pid: number; release(): void } => {
  const child = spawn('sleep', ['120'], { stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  const stat = existsSync('/proc') ? readFileSync(`/proc/${child.pid}/stat`, 'utf8') : ''
  const began = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  const owner = { token: 'x', host: hostname(), pid: child.pid, ...(began !== undefined && { began }) }
  mkdirSync(join(world.state, 'locks'), { recursive: true })
  writeFileSync(join(world.state, 'locks', `${name}.lock`), JSON.stringify(owner))
  // It is not given back: a process that is gone holds nothing.
  return { pid: child.pid ?? 0, release: () => void child.kill('SIGKILL') }
}

/** Calls a hook, and tells when it has said that it waits for another process, and has written down what for. */
export const callWaiting = (
  world: World,
  material: Material,
  call: HookCall = {},
): { readonly waits: Promise<void>; readonly run: Promise<RunResult> } => {
  let onWait = (): void => undefined
  const waits = new Promise<void>((resolve) => {
    onWait = resolve
  }).then(() => until('the record', () => existsSync(recordFile(world, material, call.name))))
  let said = ''
  const run = callHook(world, material, {
    ...call,
    onStart: (child) =>
      child.stderr?.on('data', (piece: Buffer) => {
        said += piece
        if (said.includes('waiting for process')) onWait()
      }),
  })
  // One that ends without waiting is for the test to find out.
  void run.then(onWait, onWait)
  return { waits, run }
}

/** The record of a certificate below the state folder. */
export const recordFile = (world: World, material: Material, name = 'example.com'): string =>
  join(world.state, 'deployments', name, sha256(material.x509.raw).slice(0, 12), 'record.json')

/** Nothing pending, no key, no lock, and `status` says that all is well. */
export const provesSettled = async (t: Test, world: World, ...materials: readonly Material[]): Promise<void> => {
  const status = await statusOf(t, world)
  t.equal(status.ok, true)
  t.same(pendingOf(status), [])
  provesNoKey(t, world, ...materials)
  t.same(locksIn(world.state), [], 'no lock is left')
}

/**
 * The same after a kill, read from the files. A process that was killed between its last word and giving its lock back
 * leaves one, which keeps nobody waiting.
 */
export const provesUnblocked = async (t: Test, world: World, ...materials: readonly Material[]): Promise<void> => {
  provesNoKey(t, world, ...materials)
  const newest = materials.at(-1)
  if (locksIn(world.state).length > 0 && newest !== undefined) {
    ends(t, await callHook(world, newest, { here: true, words: ['--directory', world.path('elsewhere')] }), 0)
    // What nobody asks for again goes with the next call of the timer.
    ends(t, await sync(world, [], { here: true }), 0)
    provesNoKey(t, world, ...materials)
  }
  t.same(locksIn(world.state), [], 'no lock is left')
  t.notMatch(stepsIn(world.state), /pending|failed/, 'nothing is left to do')
}

/** The certificates that were put into `latest/`, by their archive's name, in the order of their manifests. */
export const latestWritten = ({ emulator }: World, materials: readonly Material[], from = 0): string[] => {
  const bySum = new Map(
    materials.map(({ leaf, archive }) => [createHash('sha256').update(leaf).digest('hex'), archive]),
  )
  return emulator.requests
    .slice(from)
    .filter(({ method, key = '', answer }) => method === 'PUT' && answer?.status === 200 && /latest\/cert/.test(key))
    .map(({ body }) => bySum.get(sha256(body)) ?? 'unknown')
}

/** Everything in the bucket with its sums and metadata, to be compared with what another run wrote. */
export const contentOf = ({ objects }: World): Record<string, string> =>
  Object.fromEntries(
    [...objects]
      .map(([key, { body, meta, headers }]): [string, string] => [
        key,
        `${sha256(body)} ${JSON.stringify(meta)} ${headers['content-type']}`,
      ])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )

/** What is in the bucket under the archive of a certificate was written once, and is all there. */
export const provesArchivedOnce = (t: Test, world: World, material: Material, under = prefix): void => {
  const put = world.emulator.requests
    .filter(({ method, answer }) => method === 'PUT' && answer?.status === 200)
    .map(({ key = '' }) => key)
    .filter((key) => key.startsWith(`${under}${material.archive}/`))
  t.equal(new Set(put).size, put.length, 'no file of the archive was written twice')
  provesFiles(t, material, (file) => world.objects.get(`${under}${material.archive}/${file}`)?.body)
  for (const file of fileNames) t.equal(world.objects.get(`${under}${material.archive}/${file}`)?.versions ?? 1, 1)
}

export const recordsOf = (world: World) => deploymentsIn(world.state)

/** A preload for Node: the clock goes ahead of the real one by this many ms. */
export const clockAhead = (ms: number): string =>
  `--import=data:text/javascript,${encodeURIComponent(`
    const Real = Date
    globalThis.Date = class extends Real {
      constructor(...words) { if (words.length === 0) super(Real.now() + ${ms}); else super(...words) }
      static now() { return Real.now() + ${ms} }
    }`)}`

/**
 * A preload for Node: the process kills itself before its n-th change of a file. A folder that is there already is not
 * made, so nothing would be another way than before the next change; and of an archive in a folder, whose files are all
 * alike and written in any order, every other change counts.
 */
export const killBefore = (nth: number): string =>
  `--import=data:text/javascript,${encodeURIComponent(`
    import { existsSync } from 'node:fs'
    import promises from 'node:fs/promises'
    import { syncBuiltinESMExports } from 'node:module'
    let count = 0
    let archived = 0
    const changes = (name, [path, flags]) => {
      // Opened for reading only, nothing changes.
      if (name === 'open') return flags !== 'r'
      return name !== 'mkdir' || !existsSync(path)
    }
    const counts = (path) => !/[/]\\d{4}-\\d\\d-\\d\\d_[0-9a-f]{8}[/]/.test(path) || archived++ % 2 === 0
    for (const name of ['mkdir', 'open', 'rename', 'unlink', 'link', 'symlink']) {
      const real = promises[name]
      promises[name] = (...words) => {
        if (changes(name, words) && counts(String(words[0])) && ++count === ${nth}) process.kill(process.pid, 'SIGKILL')
        return real(...words)
      }
    }
    syncBuiltinESMExports()`)}`
