// The certificate of a test CA where a trusted one stands: refused on every target, unless it is told to. In-process, with
// a minted root that counts as public; the cloud and what is sent to it are those of the other tests.
import { X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { defaultCredentials } from '../../src/aliyun/credentials.js'
import { normalize } from '../../src/certificate/normalize.js'
import type { CertError } from '../../src/errors.js'
import { HttpConnections } from '../../src/http-connections.js'
import { type Deployed, deploy } from '../../src/pipeline/deploy.js'
import type { StepResult } from '../../src/pipeline/execute.js'
import { syncName } from '../../src/pipeline/sync.js'
import { Secret } from '../../src/secret.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { createTarget, type TargetContext } from '../../src/targets/index.js'
import type { DeployTarget, TargetSettings } from '../../src/targets/target.js'
import {
  bucket,
  day,
  daysFromNow,
  everything,
  type Material,
  mintMaterial,
  newAccessKey,
  openWorld,
  prefix,
  proveSilence,
  region,
  resultOf,
  stepError,
} from '../deploy-world.js'
import type { Edge } from '../emulator/edge/edge.js'
import { type Emulator, startEmulator } from '../emulator/emulator.js'
import type { Statement } from '../emulator/permissions.js'
import { mintAuthority } from '../mint.js'

const host = 'static.example.com'
const names = [host]
const publicRoot = await mintAuthority({ name: 'Public Root' })
const publicCa = await mintAuthority({ name: 'Public CA', issuer: publicRoot })
const nextCa = await mintAuthority({ name: 'Next CA', issuer: publicRoot })
const testCa = await mintAuthority({ name: '(STAGING) CA' })
const otherTestCa = await mintAuthority({ name: 'Pretend CA' })

const early = { notBefore: daysFromNow(-40), notAfter: daysFromNow(50) }
const trusted = await mintMaterial({ names, issuer: publicCa, ...early })
const expired = await mintMaterial({ names, issuer: publicCa, notBefore: daysFromNow(-90), notAfter: daysFromNow(-1) })
const pretended = await mintMaterial({ names, issuer: otherTestCa, ...early })
const staging = await mintMaterial({ names, issuer: testCa })
const renewed = await mintMaterial({ names, issuer: nextCa, notBefore: daysFromNow(-2), notAfter: daysFromNow(88) })
const next = await mintMaterial({ names, issuer: nextCa, notBefore: daysFromNow(-0.01), notAfter: daysFromNow(95) })
const alone = (material: Material): Material => ({ ...material, chain: '', fullchain: material.leaf })

// --- one cloud, with a bucket, a domain and a folder for each test ---

const folder = mkdtempSync(join(tmpdir(), 'acme-oss-untrusted-'))
const opened: HttpConnections[] = []
const emulator: Emulator = await startEmulator()
emulator.addBucket(bucket, { region })
const edge: Edge = await emulator.startEdge()
t.teardown(async () => {
  for (const connections of opened) connections.close()
  await emulator.close()
  rmSync(folder, { recursive: true, force: true })
})

const contextOf = (allow: readonly Statement[], deny: readonly Statement[] = []): TargetContext => {
  const key = { ...newAccessKey(allow), deny }
  emulator.addKey(key)
  // What reaches a product is shared by all who have the same ones, credentials and all.
  const connections = new HttpConnections()
  opened.push(connections)
  return {
    connections,
    credentials: defaultCredentials({
      ALIBABA_CLOUD_ACCESS_KEY_ID: key.id,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: key.secret,
    }),
    timeout: 20_000,
    now: () => new Date(),
    looking: { connect: [{ address: edge.address, port: edge.port }], limit: 0 },
    roots: () => [publicRoot.pem],
  }
}

const free = contextOf(everything)
const blind = contextOf(everything, [
  { action: 'oss:GetObject', resource: '*' },
  { action: 'oss:ListCname', resource: '*' },
  { action: 'cdn:Describe*', resource: '*' },
  { action: 'dcdn:Describe*', resource: '*' },
])

let count = 0
const newState = (): Promise<StateFolder> => StateFolder.open(join(folder, `state ${count++}`))

type Make = (settings?: TargetSettings, context?: TargetContext) => DeployTarget

/** A place of its own; what stands in it is put there past our code, and read there. */
interface Place {
  readonly make: Make
  put(standing: Material): void
  /** The leaf, PEM. */
  holds(): string | undefined
}

const leafIn = (pem: string | undefined): string | undefined => pem?.split(/(?<=END CERTIFICATE-----\n)/)[0]

const layoutFiles = ({ leaf, fullchain }: Material) => Object.entries({ 'cert.pem': leaf, 'fullchain.pem': fullchain })

const places: Readonly<Record<string, () => Place>> = {
  oss: () => {
    const under = `at ${count++}/`
    return {
      make: (settings, context = free) =>
        createTarget('oss', { bucket, region, prefix: under, endpoint: emulator.url, ...settings }, context),
      put: (standing) => {
        for (const [file, body] of layoutFiles(standing)) emulator.putObject(bucket, `${under}latest/${file}`, body)
      },
      holds: () => emulator.objects(bucket).get(`${under}latest/cert.pem`)?.body.toString(),
    }
  },
  directory: () => {
    const path = join(folder, `layout ${count++}`)
    const latest = join(path, 'latest')
    return {
      make: (settings, context = free) => createTarget('directory', { path, ...settings }, context),
      put: (standing) => {
        mkdirSync(join(path, 'older'), { recursive: true })
        for (const [file, body] of layoutFiles(standing)) writeFileSync(join(path, 'older', file), body)
        rmSync(latest, { force: true })
        symlinkSync('older', latest)
      },
      holds: () => readFileSync(join(latest, 'cert.pem'), 'utf8'),
    }
  },
  'oss-cname': () => ({
    make: (settings, context = free) =>
      createTarget(
        'oss-cname',
        { bucket, domain: host, region, 'bucket-endpoint': emulator.url, ...settings },
        context,
      ),
    put: (standing) => emulator.bindCname(host, bucket, { certificate: standing }),
    holds: () => leafIn(emulator.cname(host)?.certificate?.fullchain),
  }),
  cdn: () => ({
    make: (settings, context = free) =>
      createTarget('cdn', { domain: host, 'cdn-endpoint': emulator.url, ...settings }, context),
    put: (standing) => void emulator.addCdnDomain(host, { certificate: standing }),
    holds: () => leafIn(emulator.cdn.domain(host)?.certificate?.fullchain),
  }),
  dcdn: () => ({
    make: (settings, context = free) =>
      createTarget('dcdn', { domain: host, 'dcdn-endpoint': emulator.url, ...settings }, context),
    put: (standing) => void emulator.addDcdnDomain(host, { certificate: standing }),
    holds: () => leafIn(emulator.dcdn.domain(host)?.certificate?.fullchain),
  }),
}

const { signal } = new AbortController()

interface Given {
  readonly report: Deployed
  /** Of the step that puts it in its place. */
  readonly last: StepResult | undefined
  readonly actions: readonly (string | undefined)[]
  readonly handshakes: number
}

const give = async (target: DeployTarget, { fullchain, key }: Material, state?: StateFolder): Promise<Given> => {
  const [requests, handshakes] = [emulator.requests.length, edge.handshakes.length]
  const { bundle } = normalize({ certificates: fullchain, privateKey: new Secret(key) }, new Date())
  const options = { bundle, targets: [target], state: state ?? (await newState()), signal, observer: {} }
  const report = await deploy({ ...options, now: () => new Date() })
  return {
    report,
    last: report.stages[0]?.steps.find(({ id }) => id === 'latest' || id === 'bind'),
    actions: emulator.requests.slice(requests).map(({ action }) => action),
    handshakes: edge.handshakes.length - handshakes,
  }
}

const errorOf = ({ last }: Given): CertError | undefined => (last?.status === 'failed' ? last.error : undefined)

const provesRefused = (t: Test, given: Given, place: Place, standing = trusted): void => {
  t.match(errorOf(given), {
    code: 'CERTIFICATE_UNTRUSTED',
    passing: false,
    message:
      /issued by CN=\(STAGING\) CA does not lead to a root.* does \(issued by CN=Public CA, until \d{4}-\d\d-\d\d\)/,
    hint: /--allow-untrusted .*acme-oss forget static\.example\.com/,
  })
  t.equal(place.holds(), standing.leaf, 'it stands')
}

const provesReplaced = (
  t: Test,
  { last, report }: Given,
  place: Place,
  by: Material,
  warnings: readonly RegExp[] = [],
): void => {
  t.equal(last?.status, 'changed', last?.status === 'failed' ? last.error.message : 'changed')
  t.equal(report.warnings.length, warnings.length, report.warnings.join('; '))
  t.match(report.warnings, warnings)
  t.equal(place.holds(), by.leaf, 'it was replaced')
}

for (const [kind, open] of Object.entries(places)) {
  t.test(`${kind}: a trusted certificate stands`, async (t) => {
    const place = open()
    place.put(trusted)
    // What of it OSS does not tell is told by the host itself.
    const state = await newState()
    const given = await give(place.make(), staging, state)
    provesRefused(t, given, place)
    t.equal(given.handshakes, kind === 'oss-cname' ? 1 : 0)
    const archived = given.report.stages[0]?.steps.filter(({ id }) => id === 'archive') ?? []
    t.ok(
      archived.every(({ status }) => status === 'changed'),
      'the archive is written all the same',
    )
    t.match(given.report.pending, [{ error: { code: 'CERTIFICATE_UNTRUSTED' } }], 'it is tried again')

    const allowed = await give(place.make({ 'allow-untrusted': true }), staging, state)
    provesReplaced(t, allowed, place, staging)
    t.equal(allowed.handshakes, 0, 'nobody looks')
    t.same(allowed.report.pending, [])
    provesReplaced(t, await give(place.make(), next, state), place, next)
  })

  t.test(`${kind}: one that is trusted itself pays for nothing`, async (t) => {
    const [bare, place] = [open(), open()]
    bare.put(pretended)
    const first = await give(bare.make(), renewed)
    place.put(trusted)
    const then = await give(place.make(), renewed)
    provesReplaced(t, then, place, renewed)
    t.same([...then.actions].sort(), [...first.actions].sort(), 'the same requests as in the place of one that is not')
    t.equal(then.handshakes, 0)
  })

  t.test(`${kind}: what is not trusted, or not valid any more, needs no flag`, async (t) => {
    for (const standing of [pretended, expired]) {
      const place = open()
      place.put(standing)
      provesReplaced(t, await give(place.make(), staging), place, staging)
    }
  })

  t.test(`${kind}: it was put there by us, and stands without its intermediates`, async (t) => {
    const place = open()
    place.put(pretended)
    const state = await newState()
    provesReplaced(t, await give(place.make(), trusted, state), place, trusted)
    place.put(alone(trusted))
    edge.serve(host, 'nothing')
    provesRefused(t, await give(place.make(), staging, state), place)
    if (kind !== 'oss' && kind !== 'directory') {
      edge.serve(host, trusted)
      const looked = await give(place.make(), staging)
      provesRefused(t, looked, place)
      t.equal(looked.handshakes, 1, 'the host sends what the product does not show')
      edge.serve(host, staging)
      provesReplaced(t, await give(place.make(), staging), place, staging, [/could not be found out$/])
      place.put(alone(trusted))
      edge.serve(host, 'nothing')
    }
    const stranger = await give(place.make(), staging)
    edge.serve(host, undefined)
    provesReplaced(t, stranger, place, staging, [
      /^\S.*: the certificate that stood there was replaced by .*could not be found out$/,
    ])
  })

  if (kind === 'directory') continue
  t.test(`${kind}: looking is not permitted`, async (t) => {
    const place = open()
    place.put(pretended)
    const state = await newState()
    await give(place.make({}, blind), trusted, state)
    t.equal(place.holds(), trusted.leaf)
    provesRefused(t, await give(place.make({}, blind), staging, state), place)
    provesReplaced(t, await give(place.make({}, blind), staging), place, staging)
    const later = await newState()
    await give(place.make({}, blind), trusted, later)
    await give(place.make({ 'allow-untrusted': true }, blind), staging, later)
    provesReplaced(t, await give(place.make({}, blind), pretended, later), place, pretended)
  })
}

const syncInto = async (place: Place, state: StateFolder, context = free): Promise<readonly StepResult[]> => {
  const create = (_kind: string, settings: TargetSettings): DeployTarget =>
    place.make(settings['allow-untrusted'] === true ? { 'allow-untrusted': true } : {}, context)
  const common = { state, now: () => new Date(), signal, all: true, onWait: () => undefined }
  const synced = await syncName(host, { ...common, create, resolve: async () => [], observer: () => ({}) })
  return synced.certificates.flatMap(({ stages }) => stages.flatMap(({ steps }) => steps))
}

const openPlace = (kind: 'oss' | 'cdn'): Place => {
  const open = places[kind]
  if (open === undefined) throw new Error(`no ${kind}`)
  return open()
}

t.test('sync keeps to what was said when it was recorded', async (t) => {
  const place = openPlace('cdn')
  const denied = contextOf(everything, [{ action: 'cdn:SetCdnDomainSSLCertificate', resource: '*' }])
  place.put(pretended)
  const state = await newState()
  await give(place.make(), trusted, state)
  await give(place.make({}, denied), staging, state)
  t.match(
    await syncInto(place, state, blind),
    [{ status: 'failed', error: { code: 'CERTIFICATE_UNTRUSTED' } }],
    'on record',
  )
  t.match(await syncInto(place, state), [{ status: 'failed', error: { code: 'CERTIFICATE_UNTRUSTED' } }])
  t.equal(place.holds(), trusted.leaf)
  const given = await give(place.make({ 'allow-untrusted': true }, denied), staging, state)
  t.equal(errorOf(given)?.code, 'CLOUD_REFUSED')
  t.match(await syncInto(place, state), [{ status: 'changed' }])
  t.equal(place.holds(), staging.leaf)
})

t.test('what is refused keeps no other from its place', async (t) => {
  const place = openPlace('oss')
  place.put(trusted)
  const state = await newState()
  provesRefused(t, await give(place.make(), staging, state), place)
  // This one is older in both its dates, and cannot be put there for now.
  const denied = contextOf(everything, [{ action: 'oss:PutObject', resource: '*' }])
  const { report } = await give(place.make({}, denied), renewed, state)
  t.equal(report.pending.length, 2)
  await syncInto(place, state)
  t.equal(place.holds(), renewed.leaf)
})

t.test('what is of no use to the domain is replaced', async (t) => {
  const place = openPlace('cdn')
  place.put(await mintMaterial({ names: ['shop.example.net'], issuer: publicCa, ...early }))
  provesReplaced(t, await give(place.make(), staging), place, staging)
  emulator.addCdnDomain(host, { certificate: trusted, https: false })
  provesReplaced(t, await give(place.make(), staging), place, staging, [/HTTPS .* was off/])
})

t.test('an edge that does not show its certificate', async (t) => {
  const place = openPlace('cdn')
  const hide = (): void => {
    const domain = emulator.cdn.domain(host)
    if (domain?.certificate !== undefined) domain.host({ ...domain.certificate, fullchain: '' }, 0)
  }
  place.put(pretended)
  const state = await newState()
  await give(place.make(), trusted, state)
  hide()
  t.equal(errorOf(await give(place.make(), staging, state))?.code, 'CERTIFICATE_UNTRUSTED', 'told by the records')
  provesReplaced(t, await give(place.make(), staging), place, staging, [/could not be found out$/])
})

t.test('by the command, where a root that Node brings stands', async (t) => {
  const world = await openWorld(t)
  const endOf = (pem: string): number => Date.parse(new X509Certificate(pem).validTo)
  const root = tls.rootCertificates.find((pem) => endOf(pem) > Date.now() + 400 * day) ?? ''
  for (const file of ['cert.pem', 'fullchain.pem']) world.emulator.putObject(bucket, `${prefix}latest/${file}`, root)
  const held = (): string | undefined => world.objects.get(`${prefix}latest/cert.pem`)?.body.toString()
  const refused = await world.deploy(staging, [...world.toBucket, '--json'])
  t.equal(refused.code, 1)
  t.match(stepError(resultOf(refused)), { code: 'CERTIFICATE_UNTRUSTED', hint: /--allow-untrusted/ })
  t.equal(held(), root)
  const allowed = await world.deploy(staging, world.toBucket, { environment: { ACME_OSS_ALLOW_UNTRUSTED: '1' } })
  t.equal(allowed.code, 0, allowed.stderr)
  t.equal(held(), staging.leaf)
})

await proveSilence(t)
