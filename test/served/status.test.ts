// `status`: what each place holds, measured by what is wanted there; what is served; and what it exits with.
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { bucket, daysFromNow, type Material, mintMaterial, prefix, proveSilence } from '../deploy-world.js'
import type { Edge } from '../emulator/edge/edge.js'
import { readExposition } from '../monitor/exposition.js'
import type { RunResult } from '../run-command.js'
import { callHook, cloudDown, ends } from '../sync/hook-call.js'
import { dialling, mintBefore, mintWildcard, openServedWorld, type ServedWorld, wildcardNames } from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const host = 'static.example.com'
const www = 'www.example.com'
const api = 'api.example.com'
const layout = `oss ${bucket}/${prefix}`
const cname = `oss-cname ${bucket}/${host}`

const material = await mintWildcard()
const before = await mintBefore()
const newer = await mintMaterial({
  names: wildcardNames,
  notBefore: new Date(material.notBefore.getTime() + 60_000),
  notAfter: new Date(material.notAfter.getTime() + 86_400_000),
})
const older = await mintMaterial({ names: wildcardNames, notBefore: daysFromNow(-60), notAfter: daysFromNow(30) })

// --- what it prints with --json, held strictly ---

const keysOf = {
  whole: ['schema', 'command', 'ok', 'results', 'relaxed', 'warnings', 'error'],
  result: [
    ...['name', 'certificate', 'daysLeft', 'renewal', 'held', 'concerns'],
    ...['stages', 'pending', 'warnings', 'error'],
  ],
  renewal: ['due', 'at', 'error'],
  concern: ['id', 'kind', 'place', 'sentence', 'hint'],
  certificate: ['name', 'names', 'notBefore', 'notAfter', 'serial', 'sha1', 'sha256', 'archive'],
  stage: ['target', 'status', 'there', 'served', 'steps'],
  step: ['id', 'status', 'at', 'note'],
  there: ['status', 'why', 'places'],
  place: ['place', 'found', 'notBefore', 'notAfter', 'id'],
  host: ['host', 'port', 'served', 'leadsTo', 'cnames', 'addresses', 'problem'],
  address: ['address', 'port', 'served', 'certificate', 'trusted', 'chainComplete', 'browser', 'problem', 'ms'],
  shown: ['names', 'notBefore', 'notAfter', 'issuer', 'sha1', 'sha256'],
  problem: ['kind', 'message', 'cause', 'hint'],
  pending: ['target', 'step', 'next', 'error'],
  error: ['code', 'message', 'hint', 'vendor'],
} as const

type Thing = keyof typeof keysOf

interface Problem {
  readonly kind: string
  readonly message: string
}

interface Place {
  readonly place: string
  readonly found: string
  readonly notBefore: string | null
  readonly notAfter: string | null
  readonly id: string | null
}

interface StatusShape {
  readonly schema: string
  readonly command: string
  readonly ok: boolean
  readonly results: readonly {
    readonly name: string
    readonly certificate: { readonly sha256: string; readonly archive: string } | null
    readonly daysLeft: number | null
    readonly renewal: object | null
    readonly concerns: readonly { readonly id: string; readonly kind: string; readonly place: string | null }[]
    readonly stages: readonly {
      readonly target: string
      readonly status: string
      readonly there: { readonly status: string; readonly why: string | null; readonly places: readonly Place[] } | null
      readonly served:
        | readonly {
            readonly host: string
            readonly served: boolean
            readonly addresses: readonly { readonly certificate: object | null; readonly problem: Problem | null }[]
            readonly problem: Problem | null
          }[]
        | null
      readonly steps: readonly { readonly id: string; readonly status: string }[]
    }[]
    readonly pending: readonly { readonly step: string | null; readonly error: object | null }[]
  }[]
}

const requireKeys = (thing: Thing, value: object | null | undefined): void => {
  if (value === null || value === undefined) return
  const [keys, wanted] = [Object.keys(value).join(), keysOf[thing].join()]
  if (keys !== wanted) throw new Error(`${thing} has the keys ${keys}, not ${wanted}`)
}

/** One line, one object, exactly these keys in this order, all the way down. */
const shapeOf = ({ stdout, stderr, code }: RunResult): StatusShape => {
  if (!/^\{[^\n]*\}\n$/.test(stdout)) throw new Error(`not one JSON object, exit ${code}: ${stdout}${stderr}`)
  const whole = JSON.parse(stdout) as StatusShape
  requireKeys('whole', whole)
  for (const result of whole.results) {
    requireKeys('result', result)
    requireKeys('certificate', result.certificate)
    requireKeys('renewal', result.renewal)
    for (const concern of result.concerns) requireKeys('concern', concern)
    for (const { there, served, steps, ...stage } of result.stages) {
      requireKeys('stage', { target: stage.target, status: stage.status, there, served, steps })
      for (const step of steps) requireKeys('step', step)
      requireKeys('there', there)
      for (const place of there?.places ?? []) requireKeys('place', place)
      for (const one of served ?? []) {
        requireKeys('host', one)
        requireKeys('problem', one.problem)
        for (const address of one.addresses) {
          requireKeys('address', address)
          requireKeys('shown', address.certificate)
          requireKeys('problem', address.problem)
        }
      }
    }
    for (const pending of result.pending) {
      requireKeys('pending', pending)
      requireKeys('error', pending.error)
    }
  }
  if ((code === 0) !== whole.ok) throw new Error(`exit ${code}, and ok is ${whole.ok}`)
  return whole
}

const status = async (world: ServedWorld, words: readonly string[] = []): Promise<StatusShape> =>
  shapeOf(await world.run(['status', '--json', ...words]))

/** `cdn www.example.com: www.example.com wanted` */
const foundIn = ({ results }: StatusShape): string[] =>
  results.flatMap(({ stages }) =>
    stages.map(({ target, there }) =>
      there === null
        ? `${target}: nobody looked`
        : `${target}: ${there.status === 'unknown' ? `unknown, ${there.why}` : there.places.map(({ place, found }) => `${place} ${found}`).join(', ')}`,
    ),
  )

const servedIn = ({ results }: StatusShape): string[] =>
  results.flatMap(({ stages }) =>
    stages.flatMap(({ served }) => (served ?? []).map((one) => `${one.host} ${one.problem?.kind ?? 'served'}`)),
  )

// --- the world: a certificate in five places ---

const open = async (t: Test): Promise<[ServedWorld, Edge]> => {
  const world = await openServedWorld(t)
  const { emulator } = world
  emulator.bindCname(host, bucket, { certificate: older })
  for (const domain of [www, '.example.com']) emulator.addCdnDomain(domain, { certificate: older })
  emulator.addDcdnDomain(api, { certificate: older })
  const edge = await emulator.startEdge()
  ends(t, await world.deploy(material, everywhere(world)), 0)
  return [world, edge]
}

const everywhere = (world: ServedWorld): string[] => [
  ...[...world.withLayout, '--oss-cname', host, '--cdn-domain', 'auto', '--dcdn-domain', api],
  ...['--directory', world.path('tls')],
]

const wanted = (world: ServedWorld): string[] => [
  `${layout}: ${bucket}/${prefix}latest/ wanted`,
  `${cname}: ${host} wanted`,
  `cdn auto: ${www} wanted, .example.com wanted`,
  `dcdn ${api}: ${api} wanted`,
  `directory ${world.path('tls')}: ${world.path('tls/latest')} wanted`,
]

t.test('all is well', together(), async (t) => {
  const [world, edge] = await open(t)
  const found = await status(world)
  t.equal(found.ok, true)
  t.strictSame(foundIn(found), wanted(world))
  t.same(servedIn(found), [], 'nobody looked at what is served')
  t.equal(edge.handshakes.length, 0)
  t.match(found.results, [{ name: 'example.com', certificate: { archive: material.archive }, pending: [] }])
  const [place] = found.results[0]?.stages[1]?.there?.places ?? []
  t.equal(place?.notAfter, material.notAfter.toISOString())
  t.match(place?.id, /^\d+-cn-hangzhou$/, 'what OSS calls it')

  t.match(found.results, [{ concerns: [], daysLeft: Number, renewal: null, held: null }])
  const live = await status(world, ['--live', ...dialling(edge)])
  t.equal(live.ok, true)
  t.strictSame(
    servedIn(live),
    [host, www, 'acme-oss-check.example.com', api].map((one) => `${one} served`),
  )
  const text = await world.run(['status', '--live', ...dialling(edge)], { terse: true })
  ends(t, text, 0)
  t.match(text.stdout, /^ {2}✓ cdn auto: done .*\n {6}it is in 2 of 2 places\n {6}it is served by 2 of 2 hosts\n/m)
  t.match(text.stdout, /^ {2}✓ cdn auto: .* {2}wanted ✓ bound ✓ served ✓$/m)
  t.match(text.stdout, /^ {2}✓ dcdn api\.example\.com: done .*\n {6}it is there\n {6}it is served\n/m)
  t.equal(text.stderr, '')
  const metrics = await world.run(['status', '--live', '--prometheus', '-', ...dialling(edge)])
  const series = readExposition(metrics.stdout)
  const until = material.notAfter.getTime() / 1000
  t.same(
    series
      .get('acme_oss_served_expiry_timestamp_seconds')
      ?.map(({ labels, value }) => [labels['host'], value === until]),
    ['acme-oss-check.example.com', api, host, www].map((one) => [one, true]),
  )
  t.same(
    series.get('acme_oss_deployed_expiry_timestamp_seconds')?.map(({ value }) => value === until),
    [true, true, true, true, true],
  )

  const from = world.emulator.requests.length
  const quiet = await status(world, ['--no-look'])
  t.equal(quiet.ok, true)
  t.same(new Set(foundIn(quiet).map((line) => line.replace(/.*: /, ''))), new Set(['nobody looked']))
  t.equal(world.emulator.requests.length, from, '--no-look sends nothing')
  t.same((await status(world, ['example.com', '--no-look'])).results.length, 1)
  ends(t, await world.run(['status', 'exampel.com']), 2)
})

t.test('somebody binds another certificate by hand', together(), async (t) => {
  const [world, edge] = await open(t)
  const { emulator } = world
  emulator.addCdnDomain(www, { certificate: before })
  emulator.bindCname(host, bucket, { certificate: older })
  emulator.addDcdnDomain(api, {})
  emulator.putObject(bucket, `${prefix}latest/cert.pem`, older.leaf)
  const found = await status(world, ['--live', ...dialling(edge)])
  t.equal(found.ok, false)
  t.strictSame(foundIn(found), [
    `${layout}: ${bucket}/${prefix}latest/ other`,
    `${cname}: ${host} other`,
    `cdn auto: ${www} other, .example.com wanted`,
    `dcdn ${api}: ${api} none`,
    wanted(world).at(-1),
  ])
  t.strictSame(servedIn(found), [
    // The wildcard domain of CDN answers for it.
    `${host} served`,
    `${www} other-certificate`,
    'acme-oss-check.example.com served',
    `${api} served`,
  ])
  t.same(found.results[0]?.pending, [], 'nothing of it was to be done')
  t.strictSame(
    found.results[0]?.concerns.map(({ kind, place }) => `${kind} ${place}`),
    [`drift ${bucket}/${prefix}latest/`, `drift ${host}`, `drift ${www}`, `not-served ${www}`, `drift ${api}`],
  )
  const text = await world.run(['status'], { terse: true })
  ends(t, text, 1)
  t.match(text.stdout, /^ {2}✓ oss .*: done .* {2}wanted ✓ stored ≠$/m)
  t.match(text.stdout, /^ {2}✓ cdn auto: done .* {2}wanted ✓ bound ≠/m)
  t.match(
    text.stdout,
    new RegExp(
      `^ {6}it is in 1 of 2 places\\n {6}${www}: another certificate is there, valid until ${before.notAfter.toISOString().slice(0, 10)}$`,
      'm',
    ),
  )
  t.match(text.stdout, `      ${api}: no certificate is there\n`)

  ends(t, await world.deploy(material, everywhere(world)), 0)
  t.equal((await status(world)).ok, true, 'deployed again, it is well')
})

t.test('one place is enough to be told', together(), async (t) => {
  for (const spoil of [
    ({ emulator }: ServedWorld) => emulator.addDcdnDomain(api, {}),
    ({ emulator }: ServedWorld) => emulator.addCdnDomain('.example.com', { certificate: before, https: false }),
    ({ emulator }: ServedWorld) => emulator.bindCname(host, bucket),
    ({ emulator }: ServedWorld) => emulator.bindCname(host, bucket, { certificate: before }),
    ({ emulator }: ServedWorld) => emulator.putObject(bucket, `${prefix}latest/cert.pem`, 'no certificate'),
    (world: ServedWorld) => rmSync(world.path('tls/latest')),
  ]) {
    const [world] = await open(t)
    ends(t, await world.run(['status']), 0)
    spoil(world)
    const found = await status(world)
    t.equal(found.ok, false, String(spoil))
    t.equal(foundIn(found).filter((line) => /(other|none)(,|$)/.test(line)).length, 1)
    ends(t, await world.run(['status', '--no-look']), 0)
  }
})

t.test('a newer one is there', together(), async (t) => {
  const [world] = await open(t)
  const { emulator } = world
  for (const domain of [www, '.example.com']) emulator.addCdnDomain(domain, { certificate: newer })
  emulator.bindCname(host, bucket, { certificate: newer })
  emulator.addDcdnDomain(api, { certificate: newer })
  const found = await status(world)
  t.equal(found.ok, true, 'which is no reason to get up at night')
  t.strictSame(foundIn(found), [
    wanted(world)[0],
    `${cname}: ${host} newer`,
    `cdn auto: ${www} newer, .example.com newer`,
    `dcdn ${api}: ${api} newer`,
    wanted(world).at(-1),
  ])
})

t.test('without credentials, and with the cloud down', together(), async (t) => {
  const [world] = await open(t)
  const from = world.emulator.requests.length
  const none = { ALIBABA_CLOUD_ACCESS_KEY_ID: undefined, ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined }
  const run = await world.run(['status', '--json'], { environment: none })
  ends(t, run, 0)
  const lines = foundIn(shapeOf(run))
  t.equal(
    lines.filter((line) => /: unknown, no usable Alibaba Cloud credentials were found$/.test(line)).length,
    4,
    lines.join('\n'),
  )
  t.equal(lines.at(-1), wanted(world).at(-1), 'what needs none is looked at')
  t.equal(world.emulator.requests.length, from)

  const down = cloudDown(world)
  const failing = await world.run(['status', '--json', '--timeout', '1'])
  ends(t, failing, 0)
  t.equal(foundIn(shapeOf(failing)).filter((line) => /: unknown, \S/.test(line)).length, 4)
  down.remove()

  // Nobody answers at all.
  world.emulator.fail({}, { hang: true })
  const silent = await world.run(['status', '--timeout', '1'], { terse: true })
  ends(t, silent, 0)
  t.equal(silent.stdout.match(/^ {6}what is there is not known: \S/gm)?.length, 4)
})

t.test('with the cloud down it exits by what is recorded', together(), async (t) => {
  const world = await openServedWorld(t)
  world.emulator.addCdnDomain(www)
  cloudDown(world)
  ends(t, await world.deploy(material, [...world.withoutLayout, '--cdn-domain', www]), 1)
  const found = await status(world, ['--timeout', '1'])
  t.equal(found.ok, false)
  t.match(found.results, [{ pending: [{ target: `cdn ${www}`, step: 'bind', error: { code: 'CLOUD_UNAVAILABLE' } }] }])
  t.match(found.results[0]?.concerns, [{ kind: 'pending', place: `cdn ${www}` }])
})

t.test('reading is not permitted', together(), async (t) => {
  const world = await openServedWorld(t, {
    key: {
      deny: [
        {
          action: [
            'oss:GetObject',
            'oss:ListCname',
            'cdn:DescribeDomainCertificateInfo',
            'dcdn:DescribeDcdnDomainCertificateInfo',
          ],
          resource: '*',
        },
      ],
    },
  })
  world.emulator.bindCname(host, bucket)
  world.emulator.addCdnDomain(www)
  world.emulator.addDcdnDomain(api)
  const words = ['--oss-cname', host, '--cdn-domain', www, '--dcdn-domain', api]
  ends(t, await world.deploy(material, [...world.withLayout, ...words]), 0)
  const found = await status(world)
  t.equal(found.ok, true)
  t.strictSame(
    foundIn(found),
    [layout, cname, `cdn ${www}`, `dcdn ${api}`].map((target) => `${target}: unknown, reading is not permitted`),
  )
})

t.test('a domain that is gone, and nobody who serves', together(), async (t) => {
  const world = await openServedWorld(t)
  world.emulator.addCdnDomain(www)
  ends(t, await world.deploy(material, [...world.withoutLayout, '--cdn-domain', www]), 0)
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const found = await status(world, ['--live', '--connect', `127.0.0.1:${port}`])
  t.equal(found.ok, false)
  t.strictSame(servedIn(found), [`${www} refused`])
  t.match(found.results[0]?.stages[0], { there: { status: 'known' }, status: 'done' })
})

t.test('certificates of which nobody knows where they are to go, and none at all', together(), async (t) => {
  const world = await openServedWorld(t)
  const empty = await status(world)
  t.same(empty, {
    schema: 'acme-oss/1',
    command: 'status',
    ok: true,
    results: [],
    relaxed: [],
    warnings: [],
    error: null,
  })
  ends(t, await callHook(world, material, { words: ['--cdn-domain', 'shop.example.net'] }), 1)
  const found = await status(world)
  t.match(found, { ok: false, results: [{ stages: [], pending: [{ target: null, step: null }] }] })
})

t.test('the newest certificate alone is looked for', together(), async (t) => {
  const [world] = await open(t)
  ends(t, await world.deploy(newer, everywhere(world)), 0)
  const found = await status(world)
  t.equal(found.ok, true)
  t.equal(found.results.length, 1)
  t.strictSame(foundIn(found), wanted(world))
  t.equal(found.results[0]?.certificate?.archive, (newer satisfies Material).archive)
})

await proveSilence(t)
