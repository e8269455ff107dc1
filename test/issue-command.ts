// Runs `acme-oss issue-and-deploy` in a place of its own, and keeps an eye on all that it ever prints.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Emulator, startEmulator } from './emulator/emulator.js'
import { type Pebble, startPebble } from './pebble.js'
import { type RunOptions, type RunResult, runCommand } from './run-command.js'

export const bucket = 'my-ssl-certs'
export const prefix = 'certs/example.com/'
export const email = 'a@example.com'

const accessKey = { id: 'LTAI5tIssueAndDeploy0001', secret: 'HVQiUyMlgFM6vvW8ZQkFSwTuvKpnrQ' }

/** Somewhere to issue into: a cloud with a bucket, a state folder that is not there yet, a folder to write to. */
export interface Workplace {
  readonly folder: string
  readonly state: string
  readonly emulator: Emulator
  /** The credentials, as the command finds them. */
  readonly environment: Readonly<Record<string, string>>
  /** The words for the bucket. */
  readonly toBucket: readonly string[]
  /** The words for a folder, which needs no cloud. */
  readonly toFolder: readonly string[]
  /** The keys of the objects in the bucket, without what they all begin with. */
  objects(): string[]
  /** The text of an object below the prefix. */
  object(key: string): string
  run(words: readonly string[], options?: RunOptions): Promise<IssueResult>
}

export interface IssueResult extends RunResult {
  /** What `--json` printed. */
  readonly json: ResultJson
}

export interface ResultJson {
  readonly schema: string
  readonly command: string
  readonly ok: boolean
  readonly certificate: { readonly name: string; readonly names: readonly string[]; readonly sha256: string } | null
  readonly order?: { readonly ca: string; readonly placed: boolean; readonly ms: number }
  readonly stages: readonly { readonly target: string; readonly status: string; readonly steps: readonly object[] }[]
  readonly pending: readonly object[]
  readonly warnings: readonly string[]
  readonly error: {
    readonly code: string
    readonly message: string
    readonly hint: string | null
    readonly vendor: { readonly code: string } | null
  } | null
}

export const makeFolder = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-issue-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export const openWorkplace = async (t: Test): Promise<Workplace> => {
  const folder = makeFolder(t)
  const state = join(folder, 'state')
  const emulator = await startEmulator()
  t.teardown(() => emulator.close())
  emulator.addBucket(bucket)
  emulator.addKey({ ...accessKey, allow: [{ action: '*', resource: '*' }] })
  const environment = {
    ALIBABA_CLOUD_ACCESS_KEY_ID: accessKey.id,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKey.secret,
  }
  return {
    folder,
    state,
    emulator,
    environment,
    toBucket: ['--bucket', bucket, '--region', 'cn-hangzhou', '--prefix', prefix, '--endpoint', emulator.url],
    toFolder: ['--directory', join(folder, 'out')],
    objects: () => [...emulator.objects(bucket).keys()].map((key) => key.slice(prefix.length)).sort(),
    object: (key) => emulator.objects(bucket).get(`${prefix}${key}`)?.body.toString() ?? '',
    run: async (words, options = {}) => {
      const quiet = words.includes('--quiet') ? [] : ['--verbose']
      const result = await runCommand(['issue-and-deploy', ...words, ...quiet, '--state-dir', state], {
        folder,
        ...options,
        environment: { ...environment, ...options.environment },
      })
      remember(result, state)
      return { ...result, json: parse(result.stdout) }
    },
  }
}

const parse = (stdout: string): ResultJson => {
  const nothing: ResultJson = {
    schema: 'none was printed',
    command: '',
    ok: false,
    certificate: null,
    stages: [],
    pending: [],
    warnings: [],
    error: null,
  }
  return stdout.startsWith('{') ? (JSON.parse(stdout) as ResultJson) : nothing
}

/** The words for a Pebble, and for the names. */
export const orderAt = (pebble: Pebble, ...names: readonly string[]): string[] => [
  ...names.flatMap((name) => ['-d', name]),
  ...['--ca', pebble.directoryUrl, '--ca-bundle', pebble.caBundle, '--agree-tos', '--email', email],
]

/** The words for answering at the port where the Pebble asks. */
export const standaloneFor = (pebble: Pebble): string[] => [
  ...['--challenge', 'http-01', '--solver', 'standalone', '--http-port', String(pebble.httpPort)],
]

export const certificatesIn = (pem: string): X509Certificate[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map(
    (one) => new X509Certificate(one),
  )

export const namesOf = (certificate: X509Certificate | undefined): string[] =>
  (certificate?.subjectAltName ?? '')
    .split(', ')
    .map((entry) => entry.replace(/^(DNS|IP Address):/, '').toLowerCase())
    .sort()

/** Does each vouch for the one before it, and the root for the last? */
const leadsTo = (chain: readonly X509Certificate[], rootPem: string): boolean => {
  const whole = [...chain, new X509Certificate(rootPem)]
  return whole.slice(0, -1).every((one, i) => {
    const above = whole[i + 1]
    return above !== undefined && one.checkIssued(above) && one.verify(above.publicKey)
  })
}

/** Is what lies in `latest/` whole, for these names, with its key, and vouched for by the CA? */
export const isServable = async (
  t: Test,
  pebble: Pebble,
  place: Workplace,
  names: readonly string[],
): Promise<void> => {
  const chain = certificatesIn(place.object('latest/fullchain.pem'))
  const [leaf] = chain
  t.same(namesOf(leaf), [...names].sort(), 'its names are those that were asked for')
  t.ok(leaf?.checkPrivateKey(createPrivateKey(place.object('latest/privkey.pem'))), 'the key is its key')
  t.ok(leadsTo(chain, await pebble.rootPem()), 'the chain leads to the root')
  t.equal(place.object('latest/cert.pem') + place.object('latest/chain.pem'), place.object('latest/fullchain.pem'))
}

/** Every file below a folder with its mode, and every folder with a slash behind it: `accounts/ 700`. */
export const modesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const found = statSync(join(folder, name))
      return `${name}${found.isDirectory() ? '/' : ''} ${(found.mode & 0o777).toString(8)}`
    })
    .sort()

/** The one file below a folder whose path ends like that. */
export const findBelow = (folder: string, end: string): string => {
  const found = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(end))
  if (found.length !== 1) throw new Error(`${found.length} files below ${folder} end in ${end}`)
  return join(folder, found[0] as string)
}

// --- what was printed, and what must not have been ---

const printed: string[] = []
const secrets = new Set<string>()

/** To be told of secrets that lie in no state folder. */
export const neverPrint = (secret: string): void => void secrets.add(secret)

export const remember = ({ stdout, stderr }: RunResult, state: string): void => {
  printed.push(stdout, stderr)
  if (!existsSync(state)) return
  for (const name of readdirSync(state, { recursive: true, encoding: 'utf8' })) {
    const keys = textOf(join(state, name)).match(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END/g) ?? []
    for (const key of keys) neverPrint(key.replace(/-----[^-]+-----|-----END|\\n|\s/g, ''))
  }
}

/** Nothing where it is a folder, or has gone since: another run may be under way. */
const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

const windowSize = 20

const windowsOf = (text: string): string[] =>
  Array.from({ length: Math.max(0, text.length - windowSize + 1) }, (_, at) => text.slice(at, at + windowSize))

/** Which of the texts holds 20 characters in a row of a secret, in either alphabet of base64. */
export const leaksIn = (texts: readonly string[]): string[] => {
  const windows = new Set<string>()
  for (const secret of [...secrets, accessKey.secret]) {
    for (const window of windowsOf(secret)) {
      windows.add(window)
      windows.add(window.replaceAll('+', '-').replaceAll('/', '_'))
    }
  }
  return texts.filter((text) => windowsOf(text).some((window) => windows.has(window)))
}

/** The last test of a file: no run has printed a secret, a warning of Node's, or a stack trace. */
export const testOutput = (t: Test): void => {
  t.ok(printed.length > 0, 'there was something to look at')
  t.same(leaksIn(printed), [], 'no secret in any output')
  const noisy = printed.filter((text) => /\(node:\d+\)|[A-Z]\w*Warning\b|^ {4}at |TypeError|\[object /m.test(text))
  t.same(noisy, [], 'no warning of Node’s, and no stack, in any output')
  const [secret = ''] = secrets
  if (secret !== '') t.equal(leaksIn([`PREFIX${secret.slice(-30)}`]).length, 1, 'a secret would have been found')
}

type PebbleOptions = Parameters<typeof startPebble>[0]

/** A real CA, and a place to work with it. */
export const startWithPebble = async (t: Test, options: PebbleOptions = {}): Promise<[Pebble, Workplace]> => {
  const [pebble, place] = await Promise.all([startPebble(options), openWorkplace(t)])
  t.teardown(() => pebble.close())
  return [pebble, place]
}
