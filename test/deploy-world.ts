// What the tests of `deploy` share: a loopback OSS with a bucket and a key, a folder that is gone afterwards, material
// minted for the day, and an ear at everything the command says, so that each file can prove in the end that no secret
// was among it.
import type { ChildProcess } from 'node:child_process'
import { createHash, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import type { AccessKey } from './emulator/access-key.js'
import { type Emulator, type EmulatorOptions, startEmulator } from './emulator/emulator.js'
import type { RecordedRequest } from './emulator/journal.js'
import type { BucketOptions, StoredObject } from './emulator/oss/bucket.js'
import type { Statement } from './emulator/permissions.js'
import { type Authority, generateKey, type KeyKind, keyPem, mintAuthority, mintLeaf } from './mint.js'
import { type RunOptions, type RunResult, runCommand } from './run-command.js'

export const bucket = 'my-ssl-certs'
export const region = 'cn-hangzhou'
export const prefix = 'certs/example.com/'
export const bucketHost = `${bucket}.oss-${region}.aliyuncs.com`

export const day = 86_400_000
export const daysFromNow = (count: number): Date => new Date(Date.now() + count * day)

export const pemFileNames = ['cert.pem', 'privkey.pem', 'chain.pem', 'fullchain.pem'] as const
export const fileNames = [...pemFileNames, 'README.md'] as const

// --- secrets, and everything that was said ---

const secrets = new Set<string>()
const said: Buffer[] = []
const emulators: Emulator[] = []

/** From now on this text must not be seen anywhere, nor any 20 characters of a longer one. */
export const keepSecret = (text: string): string => {
  secrets.add(text)
  return text
}

const keepKeySecret = (key: KeyObject): void => {
  const forms = { rsa: ['pkcs8', 'pkcs1'], ec: ['pkcs8', 'sec1'], ed25519: ['pkcs8'] } as const
  const kind = key.asymmetricKeyType
  for (const form of kind === 'rsa' || kind === 'ec' || kind === 'ed25519' ? forms[kind] : []) {
    keepSecret(keyPem(key, form).replace(/-----[^-]+-----|\s/g, ''))
    // Windows of the same bytes with the line ends in them, as JSON or a log would show them.
    keepSecret(keyPem(key, form))
  }
}

const window = 20

/** Windows that stand in every file of the kind, such as the BEGIN line. */
const isPublic = (piece: string): boolean => piece.includes('-----') || piece.includes('PRIVATE KEY')

const windowsOf = (text: string): string[] =>
  text.length <= window ? [text] : Array.from({ length: text.length - window + 1 }, (_, i) => text.slice(i, i + window))

/** The last test of a file: what the command printed and which URLs it asked for hold nothing secret. */
export const proveSilence = (t: Test): Promise<unknown> =>
  t.test('no secret was in anything that was printed or in any URL', async (t) => {
    const urls = emulators.flatMap(({ requests }) => requests.map(({ path, query }) => path + JSON.stringify(query)))
    const all = [Buffer.concat(said).toString('latin1'), ...urls].join('\n')
    t.ok(said.length > 0 && secrets.size > 0, 'something was said, and there is something to hide')
    const seen = new Set(windowsOf(all))
    for (const secret of secrets) {
      const shown = windowsOf(secret)
        .filter((piece) => !isPublic(piece))
        .filter((piece) => (piece.length < window ? all.includes(piece) : seen.has(piece)))
      t.same(shown, [], `a secret of ${secret.length} characters`)
    }
  })

const listen = ({ stdout, stderr }: RunResult): void => {
  said.push(Buffer.from(stdout), Buffer.from(stderr))
}

// --- material ---

export const root: Authority = await mintAuthority()
export const intermediate: Authority = await mintAuthority({ issuer: root })

export interface Material {
  readonly names: readonly string[]
  /** One PEM block each. */
  readonly leaf: string
  readonly chain: string
  readonly fullchain: string
  readonly privateKey: KeyObject
  /** PKCS#8. */
  readonly key: string
  readonly x509: X509Certificate
  readonly notBefore: Date
  readonly notAfter: Date
  /** The folder that it is to be archived under. */
  readonly archive: string
}

export interface MaterialOptions {
  readonly names?: readonly string[]
  readonly notBefore?: Date
  readonly notAfter?: Date
  readonly key?: KeyKind | KeyObject
  /** The intermediate CA unless told; none for a self-signed one. */
  readonly issuer?: Authority | undefined
  /** What stands above it in chain.pem; the issuer unless told. */
  readonly chain?: string
  /** False: the name stands in the subject alone. */
  readonly san?: false
  /** Where the issuer's certificate can be fetched, as leaves of public CAs say. */
  readonly issuerUrl?: string
}

export const mintMaterial = async (options: MaterialOptions = {}): Promise<Material> => {
  const { names = ['example.com', 'www.example.com'], notBefore, notAfter } = options
  const issuer = 'issuer' in options ? options.issuer : intermediate
  const privateKey = typeof options.key === 'object' ? options.key : generateKey(options.key ?? 'ec256')
  keepKeySecret(privateKey)
  const leaf = await mintLeaf({
    ...(issuer && { issuer }),
    ...(notBefore && { notBefore }),
    ...(notAfter && { notAfter }),
    ...(options.san === false && { san: false }),
    ...(options.issuerUrl && { issuerUrl: options.issuerUrl }),
    names,
    key: privateKey,
  })
  const x509 = new X509Certificate(leaf.der)
  const chain = options.chain ?? issuer?.pem ?? ''
  const begins = new Date(x509.validFrom)
  return {
    names: options.san === false ? [] : names,
    leaf: leaf.pem,
    chain,
    fullchain: leaf.pem + chain,
    privateKey,
    key: keyPem(privateKey, 'pkcs8'),
    x509,
    notBefore: begins,
    notAfter: new Date(x509.validTo),
    archive: `${begins.toISOString().slice(0, 10)}_${createHash('sha1').update(leaf.der).digest('hex').slice(0, 8)}`,
  }
}

/** What has to lie in a folder of the layout, README.md aside. */
export const pemFiles = (material: Material): Readonly<Record<(typeof pemFileNames)[number], string>> => ({
  'cert.pem': material.leaf,
  'privkey.pem': material.key,
  'chain.pem': material.chain,
  'fullchain.pem': material.fullchain,
})

export const sha256 = (body: string | Buffer): string => createHash('sha256').update(body).digest('hex')

// --- the front matter of README.md, read by a parser that forgives nothing ---

export interface FrontMatter {
  readonly archive: string
  readonly names: readonly string[]
  readonly notBefore: string
  readonly notAfter: string
  readonly sha256: Readonly<Record<string, string>>
}

type Node = string | string[] | Record<string, string>

const scalar = (text: string): string => {
  if (/^"(?:[^"\\]|\\.)*"$/.test(text)) return JSON.parse(text) as string
  // Plain, and no number, date or word that YAML takes for something else than a text.
  if (/^[a-z0-9]+(?:[-_.][a-z0-9]+)+$/.test(text) && !/^\d{4}-\d\d-\d\d$/.test(text)) return text
  throw new Error(`not a scalar that every YAML parser reads alike: ${text}`)
}

/** A subset of YAML: `key: scalar`, and below `key:` either `  - scalar` lines, `  key: scalar` lines, or `  []`. */
const readBlock = (lines: readonly string[]): Record<string, Node> => {
  const found: Record<string, Node> = {}
  let open: string | undefined
  for (const line of lines) {
    const [, key, value] = /^([A-Za-z0-9]+):(?: (\S.*))?$/.exec(line) ?? []
    if (key !== undefined) {
      if (key in found) throw new Error(`twice: ${key}`)
      found[key] = value === undefined ? [] : scalar(value)
      open = value === undefined ? key : undefined
      continue
    }
    if (open === undefined) throw new Error(`belongs to nothing: ${line}`)
    const at = found[open]
    const [, item] = /^ {2}- (\S.*)$/.exec(line) ?? []
    const [, name, text] = /^ {2}([A-Za-z.]+): (\S.*)$/.exec(line) ?? []
    if (line === '  []') open = undefined
    else if (item !== undefined && Array.isArray(at)) at.push(scalar(item))
    else if (name !== undefined && text !== undefined) {
      const map: Record<string, string> = typeof at === 'object' && !Array.isArray(at) ? at : {}
      if (name in map) throw new Error(`twice: ${name}`)
      found[open] = { ...map, [name]: scalar(text) }
    } else throw new Error(`not understood: ${line}`)
  }
  return found
}

export const readFrontMatter = (readme: string): FrontMatter => {
  const [, block] = /^---\n([\s\S]*?)\n---\n/.exec(readme) ?? []
  if (block === undefined) throw new Error('README.md does not open with front matter')
  const found = readBlock(block.split('\n'))
  const keys = Object.keys(found).join()
  if (keys !== 'archive,names,notBefore,notAfter,sha256') throw new Error(`other keys than documented: ${keys}`)
  return found as unknown as FrontMatter
}

/** The same five files, whether in a bucket or on a disk: bytes, and a manifest that tells the truth about them. */
export const provesFiles = (t: Test, material: Material, read: (file: string) => Buffer | undefined): void => {
  // Compared by their sums, so that a failure does not fill the screen with PEM.
  const sumOf = (file: string): string => sha256(read(file) ?? 'there is no such file')
  t.same(
    pemFileNames.map((file) => `${file} ${sumOf(file)}`),
    Object.entries(pemFiles(material)).map(([file, body]) => `${file} ${sha256(body)}`),
  )
  const readme = read('README.md')?.toString()
  if (readme === undefined) return void t.fail('there is no README.md')
  t.same(readFrontMatter(readme), {
    archive: material.archive,
    names: material.names,
    notBefore: material.notBefore.toISOString(),
    notAfter: material.notAfter.toISOString(),
    sha256: Object.fromEntries(pemFileNames.map((file) => [file, sumOf(file)])),
  })
}

/** Both folders of the layout in the bucket, and nothing else under the prefix beside `others`. */
export const provesLayout = (
  t: Test,
  objects: ReadonlyMap<string, StoredObject>,
  material: Material,
  { under = prefix, others = [] }: { readonly under?: string; readonly others?: readonly string[] } = {},
): void => {
  const folders = [material.archive, 'latest']
  const expected = folders.flatMap((folder) => fileNames.map((file) => `${under}${folder}/${file}`))
  const there = [...objects.keys()].filter((key) => key.startsWith(under))
  t.same(there.sort(), [...expected, ...others].sort(), 'ten objects')
  for (const folder of folders) provesFiles(t, material, (file) => objects.get(`${under}${folder}/${file}`)?.body)
}

// --- the world ---

export const putOnly: readonly Statement[] = [{ action: 'oss:PutObject', resource: `${bucket}/*` }]
export const everything: readonly Statement[] = [{ action: '*', resource: '*' }]

export interface WorldOptions {
  readonly emulator?: EmulatorOptions
  readonly bucket?: BucketOptions
  readonly allow?: readonly Statement[]
  /** More about the key, such as a session token. */
  readonly key?: Partial<AccessKey>
  /** Its commands are called in this process, but for those of which the process itself matters. */
  readonly here?: boolean
}

export interface WorldRun extends Omit<RunOptions, 'environment'> {
  /** Added to the world's own; `undefined` takes a variable away. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Without `--verbose`, which every other run has. */
  readonly terse?: boolean
  /** In ms; then it is killed. */
  readonly longest?: number
}

export interface World {
  readonly emulator: Emulator
  /** Gone when the test ends. */
  readonly folder: string
  readonly state: string
  /** `--bucket …` and what else leads to the emulator's bucket. */
  readonly toBucket: readonly string[]
  readonly objects: ReadonlyMap<string, StoredObject>
  readonly key: AccessKey
  path(...parts: readonly string[]): string
  /** Writes a file into the folder; gives back its path. */
  file(name: string, content: string | Buffer): string
  run(words: readonly string[], options?: WorldRun): Promise<RunResult>
  /** The same in this process, for tables of cases: see call-command.ts. */
  call(words: readonly string[], options?: WorldRun): Promise<RunResult>
  /** `deploy` of the material, by standard input. */
  deploy(material: Material, words?: readonly string[], options?: WorldRun): Promise<RunResult>
}

const longestRun = 45_000

/** Credentials that look like real ones, and are kept secret. */
export const newAccessKey = (allow: readonly Statement[] = everything): AccessKey => ({
  id: keepSecret(`LTAI5t${randomBytes(9).toString('hex')}`),
  secret: keepSecret(randomBytes(15).toString('hex')),
  allow,
})

export const openWorld = async (t: Test, options: WorldOptions = {}): Promise<World> => {
  const emulator = await startEmulator(options.emulator)
  emulators.push(emulator)
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-deploy-'))
  t.teardown(async () => {
    await emulator.close()
    rmSync(folder, { recursive: true, force: true })
  })
  emulator.addBucket(bucket, { region, ...options.bucket })
  const key: AccessKey = { ...newAccessKey(options.allow), ...options.key }
  emulator.addKey(key)
  const state = join(folder, 'state')
  const own = {
    ALIBABA_CLOUD_ACCESS_KEY_ID: key.id,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: key.secret,
    ...(key.token !== undefined && { ALIBABA_CLOUD_SECURITY_TOKEN: keepSecret(key.token) }),
    // Nothing of this machine is asked for credentials.
    ALIBABA_CLOUD_ECS_METADATA_DISABLED: 'true',
    ACME_OSS_STATE_DIR: state,
  }
  const world: World = {
    emulator,
    folder,
    state,
    key,
    toBucket: ['--bucket', bucket, '--region', region, '--prefix', prefix, '--endpoint', emulator.url],
    objects: emulator.objects(bucket),
    path: (...parts) => join(folder, ...parts),
    file: (name, content) => {
      writeFileSync(join(folder, name), content)
      return join(folder, name)
    },
    run: async ([command = '', ...rest], { environment = {}, terse = false, longest = longestRun, ...more } = {}) => {
      const words = [command, ...(terse ? [] : ['--verbose']), ...rest]
      const variables = Object.entries({ ...own, ...environment })
      const given = variables.filter((entry): entry is [string, string] => entry[1] !== undefined)
      let guard: NodeJS.Timeout | undefined
      const onStart = (child: ChildProcess): void => {
        // A command that never ends must not outlive the test.
        guard = setTimeout(() => child.kill('SIGKILL'), longest)
        more.onStart?.(child)
      }
      const here = options.here === true && more.onStart === undefined && more.nodeOptions === undefined
      const how = { folder, here, ...more, onStart, environment: Object.fromEntries(given) }
      const result = await runCommand(words, how)
      clearTimeout(guard)
      listen(result)
      return result
    },
    call: (line, options) => world.run(line, { ...options, here: true }),
    deploy: (material, words = world.toBucket, more = {}) =>
      world.run(['deploy', '--fullchain', '-', ...words], { input: material.fullchain + material.key, ...more }),
  }
  return world
}

/** Waits for something that has to come; the limit is only there so that a defect does not hang the test. */
export const until = async (what: string, holds: () => boolean, limit = 30_000): Promise<void> => {
  const end = performance.now() + limit
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`)
    await pause(5)
  }
}

export const isPut = ({ method }: RecordedRequest): boolean => method === 'PUT'

/** The keys of the PUTs that were carried out. */
export const putKeys = ({ requests }: Pick<Emulator, 'requests'>, from = 0): string[] =>
  requests
    .slice(from)
    .filter((request) => isPut(request) && request.answer?.status === 200)
    .map(({ key = '' }) => key)

// --- what the command prints with --json ---

export interface ErrorShape {
  readonly code: string
  readonly message: string
  readonly hint: string | null
  readonly vendor: { readonly code: string; readonly requestId: string | null } | null
}

export interface ResultShape {
  readonly schema: string
  readonly command: string
  readonly ok: boolean
  readonly certificate: Readonly<Record<string, unknown>> | null
  readonly stages: readonly {
    readonly target: string
    readonly status: string
    readonly steps: readonly {
      readonly id: string
      readonly does: string
      readonly status: string
      readonly ms: number | null
      readonly note: string | null
      readonly error: ErrorShape | null
    }[]
  }[]
  readonly pending: readonly {
    readonly target: string | null
    readonly step: string | null
    readonly next: string | null
    readonly error: ErrorShape | null
  }[]
  readonly warnings: readonly string[]
  readonly error: ErrorShape | null
}

type Check = (value: unknown, at: string) => void

const wrong = (at: string, value: unknown): never => {
  throw new Error(`${at} is ${JSON.stringify(value)}`)
}
const matching =
  (pattern: RegExp): Check =>
  (value, at) =>
    typeof value === 'string' && pattern.test(value) ? undefined : wrong(at, value)
const sentence = matching(/^\S[^\n]*\S$/)
const text = matching(/^[^\n]+$/)
const moment = matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const flag: Check = (value, at) => (typeof value === 'boolean' ? undefined : wrong(at, value))
const wholeNumber: Check = (value, at) => (Number.isInteger(value) && Number(value) >= 0 ? undefined : wrong(at, value))
const orNull =
  (check: Check): Check =>
  (value, at) =>
    value === null ? undefined : check(value, at)
const listOf =
  (check: Check): Check =>
  (value, at) =>
    Array.isArray(value) ? value.forEach((one, i) => void check(one, `${at}[${i}]`)) : wrong(at, value)
const exactly =
  (shape: Readonly<Record<string, Check>>): Check =>
  (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return wrong(at, value)
    const keys = Object.keys(value)
    if (keys.join() !== Object.keys(shape).join()) throw new Error(`${at} has the keys ${keys.join()}`)
    for (const [name, check] of Object.entries(shape)) {
      check((value as Readonly<Record<string, unknown>>)[name], `${at}.${name}`)
    }
  }

const status = matching(/^(changed|unchanged|failed|skipped|planned)$/)
const error = exactly({
  code: matching(/^[A-Z0-9]+(_[A-Z0-9]+)*$/),
  message: matching(/^\S[^\n]*[^.\s]$/),
  hint: orNull(sentence),
  vendor: orNull(exactly({ code: text, requestId: orNull(text) })),
})

const resultShape = exactly({
  schema: matching(/^acme-oss\/1$/),
  command: (value, at) => (typeof value === 'string' ? undefined : wrong(at, value)),
  ok: flag,
  certificate: orNull(
    exactly({
      name: text,
      names: listOf(text),
      notBefore: moment,
      notAfter: moment,
      serial: matching(/^[0-9A-F]+$/),
      sha1: matching(/^[0-9a-f]{40}$/),
      sha256: matching(/^[0-9a-f]{64}$/),
      archive: matching(/^\d{4}-\d\d-\d\d_[0-9a-f]{8}$/),
    }),
  ),
  stages: listOf(
    exactly({
      target: text,
      status,
      steps: listOf(
        exactly({ id: text, does: text, status, ms: orNull(wholeNumber), note: orNull(text), error: orNull(error) }),
      ),
    }),
  ),
  pending: listOf(exactly({ target: orNull(text), step: orNull(text), next: orNull(moment), error: orNull(error) })),
  warnings: listOf(sentence),
  error: orNull(error),
})

/** What was printed with `--json`: one line, one object, the documented keys in their order and no other. */
export const resultOf = ({ stdout, stderr, code }: RunResult): ResultShape => {
  if (!/^\{[^\n]*\}\n$/.test(stdout)) throw new Error(`not one JSON object, exit ${code}: ${stdout}${stderr}`)
  const result: unknown = JSON.parse(stdout)
  resultShape(result, 'the result')
  return result as ResultShape
}

/** The only error of the only step that failed. */
export const stepError = (result: ResultShape): ErrorShape => {
  const errors = result.stages.flatMap(({ steps }) =>
    steps.flatMap((step) => (step.error === null ? [] : [step.error])),
  )
  const [only] = errors
  if (only === undefined || errors.length > 1) throw new Error(`not one failed step: ${JSON.stringify(result.stages)}`)
  return only
}

// --- what lies in the state folder ---

export interface RecordedDeployment {
  /** The folder below `deployments`. */
  readonly folder: string
  readonly record: {
    readonly name: string
    readonly archive: string
    readonly targets: Readonly<
      Record<string, { readonly kind: string; readonly steps: Readonly<Record<string, { readonly status: string }>> }>
    >
  }
  readonly fullchain: string
  readonly privateKey: string | undefined
}

export const deploymentsIn = (state: string): RecordedDeployment[] => {
  const top = join(state, 'deployments')
  if (!existsSync(top)) return []
  return readdirSync(top).flatMap((name) =>
    readdirSync(join(top, name)).flatMap((version) => {
      const folder = join(top, name, version)
      // The record comes last: before, nothing is wanted.
      if (!existsSync(join(folder, 'record.json'))) return []
      const key = join(folder, 'privkey.pem')
      return {
        folder: join(name, version),
        record: JSON.parse(readFileSync(join(folder, 'record.json'), 'utf8')) as RecordedDeployment['record'],
        fullchain: readFileSync(join(folder, 'fullchain.pem'), 'utf8'),
        privateKey: existsSync(key) ? readFileSync(key, 'utf8') : undefined,
      }
    }),
  )
}

/** The states of all steps of the only deployment, as `archive done, latest pending`. */
export const stepsIn = (state: string): string =>
  deploymentsIn(state)
    .flatMap(({ record }) => Object.values(record.targets).flatMap(({ steps }) => Object.entries(steps)))
    .map(([id, { status }]) => `${id} ${status}`)
    .join(', ')

/** Everything below the folder with its permissions: `drwx------ locks`. */
export const modesBelow = (folder: string): Record<string, string> =>
  Object.fromEntries(
    ['', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })].map((name) => {
      const { mode } = statSync(join(folder, name))
      return [name, (mode & 0o7777).toString(8).padStart(4, '0')]
    }),
  )

export const isRoot = process.getuid?.() === 0
