// HTTPS of CDN and DCDN domains, in-process: what a place reads, plans and does, measured by what the emulator holds and
// by what strangers get who ask its edges.
import { once } from 'node:events'
import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request as secureRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { defaultCredentials } from '../../src/aliyun/credentials.js'
import { EdgeDomains, type EdgeProduct, edgeVersion } from '../../src/aliyun/edge-domains.js'
import { Pace } from '../../src/aliyun/pace.js'
import { RpcClient } from '../../src/aliyun/rpc.js'
import type { CertError } from '../../src/errors.js'
import { HttpConnections } from '../../src/http-connections.js'
import { edgeHttpsPermissions } from '../../src/https/edge-permissions.js'
import { edgePlace } from '../../src/https/edge-place.js'
import type { HttpsAim, HttpsParts, HttpsPlace, HttpsPlan } from '../../src/https/https-place.js'
import type { HttpsWish } from '../../src/https/https-wish.js'
import { everything, mintMaterial, newAccessKey } from '../deploy-world.js'
import type { Domain, DomainOptions } from '../emulator/cdn/domain.js'
import { startEmulator } from '../emulator/emulator.js'
import type { Statement } from '../emulator/permissions.js'

const signal = new AbortController().signal
const material = await mintMaterial({ names: ['*.example.com'] })
const emulator = await startEmulator()
emulator.addBucket('site')
emulator.putObject('site', 'open', 'for all', { 'x-oss-object-acl': 'public-read' })
const [secure, plain] = await Promise.all([emulator.startEdge(), emulator.startPlainEdge()])
const opened: HttpConnections[] = []
t.teardown(async () => {
  for (const connections of opened) connections.close()
  await emulator.close()
})

const products = ['cdn', 'dcdn'] as const

/** What the products call the same things. */
const names = {
  cdn: { set: 'BatchSetCdnDomainConfig', remove: 'DeleteSpecificConfig', ssl: 'SetCdnDomainSSLCertificate' },
  dcdn: { set: 'BatchSetDcdnDomainConfigs', remove: 'DeleteDcdnSpecificConfig', ssl: 'SetDcdnDomainSSLCertificate' },
}
const reads = {
  cdn: { functions: 'DescribeCdnDomainConfigs', certificate: 'DescribeDomainCertificateInfo' },
  dcdn: { functions: 'DescribeDcdnDomainConfigs', certificate: 'DescribeDcdnDomainCertificateInfo' },
}

let count = 0
const newName = (): string => `n${count++}.example.com`

interface Who {
  readonly product?: EdgeProduct
  readonly allow?: readonly Statement[]
  readonly deny?: readonly Statement[]
  /** In ms. */
  readonly timeout?: number
}

const placeOf = (domain: string, { product = 'cdn', allow = everything, deny = [], timeout = 20_000 }: Who = {}) => {
  const key = { ...newAccessKey(allow), deny }
  emulator.addKey(key)
  const connections = new HttpConnections()
  opened.push(connections)
  const credentials = defaultCredentials({
    ALIBABA_CLOUD_ACCESS_KEY_ID: key.id,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: key.secret,
  })
  const client = new RpcClient({
    endpoint: new URL(emulator.url),
    version: edgeVersion(product),
    credentials,
    connections,
    timeout,
    now: () => new Date(),
    // The emulator has no limit unless it is told.
    pace: new Pace(100_000, 1000),
  })
  const domains = new EdgeDomains(product, client)
  return edgePlace({ domain, domains, settings: { [`${product}-domain`]: domain } })
}

const add = (name: string, product: EdgeProduct, options: DomainOptions = {}): Domain => {
  const all = { certificate: material, origin: 'site', ...options }
  return product === 'cdn' ? emulator.addCdnDomain(name, all) : emulator.addDcdnDomain(name, all)
}

const wish: HttpsWish = {
  tls: ['1.2', '1.3'],
  redirect: 301,
  hsts: { maxAge: undefined, includeSubdomains: false, preload: false },
  http2: true,
  gzip: false,
  brotli: false,
}
const enforce: HttpsAim = { verb: 'enforce', wish }
const relax: HttpsAim = { verb: 'relax' }
const disable: HttpsAim = { verb: 'disable' }
const restore = (parts: HttpsParts): HttpsAim => ({ verb: 'restore', parts })

const plan = async (place: HttpsPlace, aim: HttpsAim): Promise<HttpsPlan> => place.plan(aim, await place.read(signal))

/** Carries it out, and gives back the plan. */
const go = async (place: HttpsPlace, aim: HttpsAim): Promise<HttpsPlan> => {
  const planned = await plan(place, aim)
  for (const change of planned.changes) await change.run(signal)
  return planned
}

const partsOf = ({ changes }: HttpsPlan): string[] => changes.map(({ part }) => part)

const failed = async (work: Promise<unknown>): Promise<CertError> => {
  try {
    await work
  } catch (error) {
    return error as CertError
  }
  throw new Error('it went well')
}

/** What the emulator holds, whatever it calls it. */
const held = ({ functions }: Domain) =>
  functions.map(({ name, args, parentId }) => ({ name, args, parentId })).sort((a, b) => (a.name < b.name ? -1 : 1))

/** Of those that always hold. */
const argsOf = (domain: Domain) =>
  Object.fromEntries(held(domain).flatMap(({ name, args, parentId }) => (parentId === undefined ? [[name, args]] : [])))

/** The calls that were made of the cloud since. */
const calls = (since: number): string[] =>
  emulator.requests.slice(since).flatMap(({ action }) => (action === undefined ? [] : [action.replace(/^d?cdn:/, '')]))

const writes = (since: number): string[] => calls(since).filter((action) => !action.startsWith('Describe'))

interface Answered {
  readonly status: number | undefined
  readonly body: string
  readonly hsts: string | undefined
  readonly location: string | undefined
}

const ask = async (host: string, scheme: 'http' | 'https'): Promise<Answered> => {
  const { port } = scheme === 'http' ? plain : secure
  const options = { host: '127.0.0.1', port, path: '/open', headers: { Host: host }, agent: false }
  const sent =
    scheme === 'http'
      ? plainRequest(options).end()
      : secureRequest({ ...options, servername: host, rejectUnauthorized: false }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const { location, 'strict-transport-security': hsts } = response.headers
  return { status: response.statusCode, body: await text(response), hsts, location }
}

for (const product of products) {
  t.test(`${product}: enforced, then as it was`, async (t) => {
    const name = newName()
    const domain = add(name, product)
    const place = placeOf(name, { product })
    t.match(place, { kind: product, name: `${product.toUpperCase()} domain ${name}`, identity: new RegExp(name) })
    t.same(await place.hosts(signal), [name])
    t.same(await place.hazards(signal), [])
    const before = await place.read(signal)
    t.same(before.unread, {})
    t.match(before.facts, {
      https: true,
      plainHttp: 'answered',
      redirectCode: null,
      tls: null,
      hsts: null,
      gzip: false,
    })

    const since = emulator.requests.length
    const { changes, warnings } = await go(place, enforce)
    t.same(partsOf({ changes, warnings }), ['https_tls_version', 'https_option', 'https_force', 'HSTS'])
    t.same(writes(since), [names[product].set], 'one call, since a domain takes its time over each')
    t.same(warnings, [])
    t.same(argsOf(domain), {
      https_tls_version: { tls10: 'off', tls11: 'off', tls12: 'on', tls13: 'on' },
      https_option: { http2: 'on' },
      https_force: { enable: 'on', https_rewrite: '301' },
      HSTS: { enabled: 'on', https_hsts_max_age: '300', https_hsts_include_subdomains: 'off' },
    })
    const after = await place.read(signal)
    for (const change of changes) {
      t.equal(change.before, before.parts[change.part])
      t.equal(change.after, after.parts[change.part], change.does)
    }
    t.match(after.facts, {
      plainHttp: 'redirected',
      redirectCode: 301,
      tls: ['1.2', '1.3'],
      hsts: { maxAge: 300, includeSubdomains: false, preload: false },
      http2: true,
    })
    t.match(await ask(name, 'http'), { status: 301, location: `https://${name}/open` })
    t.match(await ask(name, 'https'), { status: 200, body: 'for all', hsts: 'max-age=300' })
    t.same((await plan(place, enforce)).changes, [], 'there is nothing left to do')

    await go(place, restore(before.parts))
    t.same(domain.functions, [])
    t.same((await plan(place, restore(before.parts))).changes, [])
  })

  t.test(`${product}: in the order that locks nobody out, HTTPS goes last`, async (t) => {
    const name = newName()
    const domain = add(name, product)
    const place = placeOf(name, { product })
    await go(place, { verb: 'enforce', wish: { ...wish, http2: false } })
    const since = emulator.requests.length
    const { changes, warnings } = await go(place, disable)
    t.same(partsOf({ changes, warnings }), ['https_force', 'HSTS', 'https'])
    t.same(writes(since), [names[product].remove, names[product].set, names[product].ssl])
    t.same(changes.at(-1)?.after, (await place.read(signal)).parts['https'])
    t.match(domain, { https: false, certificate: undefined })
    t.match(argsOf(domain), { https_force: undefined, HSTS: { enabled: 'off', https_hsts_max_age: '300' } })
    t.match(await ask(name, 'http'), { status: 200, body: 'for all' })
    t.match(warnings.join(), /up to 5 minutes.* neither the certificate nor the key.* acme-oss forget/)
    t.match((await place.read(signal)).facts, { https: false, plainHttp: 'answered', hsts: null })
    t.same((await plan(place, disable)).changes, [])

    domain.functions = [{ id: '1', name: 'https_force', args: { enable: 'on', https_rewrite: '301' } }]
    t.equal((await ask(name, 'http')).location, `https://${name}/open`, 'the other way round')
    t.match(await failed(ask(name, 'https')), { message: /handshake/ }, 'nobody would get anything')
    const back = await go(place, disable)
    t.same(partsOf(back), ['https_force'], 'it is mended by the same command')
    t.equal((await ask(name, 'http')).status, 200)
  })
}

/** As somebody else set it up: HTTPS sent back to HTTP, off by now, and much that is not ours to change. */
const others: NonNullable<DomainOptions['functions']> = [
  { name: 'http_force', args: { enable: 'off', http_rewrite: '308' } },
  {
    name: 'https_tls_version',
    args: {
      tls10: 'on',
      tls11: 'on',
      tls12: 'on',
      tls13: 'off',
      ciphersuitegroup: 'custom',
      ciphersuite: 'AES128-SHA',
    },
  },
  { name: 'https_option', args: { ocsp_stapling: 'on', http2: 'off' } },
  { name: 'brotli', args: { enable: 'off', brotli_level: '5' } },
  { name: 'gzip', args: { enable: 'on' }, parentId: '77' },
  { name: 'iquic', args: { enable: 'on' } },
  {
    name: 'HSTS',
    args: { https_hsts_max_age: '5184000', enabled: 'on', https_hsts_include_subdomains: 'on' },
  },
]

t.test('what somebody else has set up', async (t) => {
  const name = newName()
  const domain = add(name, 'cdn', { functions: others })
  const place = placeOf(name)
  const before = held(domain)
  const saved = (await place.read(signal)).parts
  const ids = new Map(domain.functions.map((one) => [one.name, one.id]))
  const all: HttpsWish = { ...wish, redirect: 308, gzip: true, brotli: true }
  const { changes, warnings } = await go(place, { verb: 'enforce', wish: all })
  t.same(
    partsOf({ changes, warnings }),
    ['http_force', 'https_tls_version', 'https_option', 'gzip', 'brotli', 'https_force'],
    'an HSTS that lasts longer stays as it is',
  )
  t.match(warnings, [/under rules is left as it is: gzip$/])
  t.same(
    held(domain).filter(({ parentId }) => parentId !== undefined),
    [others[4]],
  )
  t.match(argsOf(domain), {
    http_force: undefined,
    https_tls_version: {
      tls10: 'off',
      tls11: 'off',
      tls12: 'on',
      tls13: 'on',
      ciphersuitegroup: 'custom',
      ciphersuite: 'AES128-SHA',
    },
    https_option: { ocsp_stapling: 'on', http2: 'on' },
    gzip: { enable: 'on' },
    brotli: { enable: 'on', brotli_level: '5' },
    iquic: { enable: 'on' },
    https_force: { enable: 'on', https_rewrite: '308' },
    HSTS: { https_hsts_max_age: '5184000', enabled: 'on', https_hsts_include_subdomains: 'on' },
  })
  for (const one of ['https_tls_version', 'https_option', 'brotli', 'HSTS'])
    t.equal(domain.functions.find(({ name }) => name === one)?.id, ids.get(one), `${one} was changed, not replaced`)
  const sent = emulator.requests.filter(({ action, key }) => action === 'cdn:BatchSetCdnDomainConfig' && key === name)
  const functions = sent.map(({ parameters }) => parameters.find((one) => one.name === 'Functions')?.value ?? '')
  t.match(
    functions.map((one) => JSON.parse(one) as unknown),
    [
      [
        { functionName: 'https_tls_version', configId: ids.get('https_tls_version') },
        { functionName: 'https_option', configId: ids.get('https_option') },
        { functionName: 'gzip', configId: undefined },
        { functionName: 'brotli', configId: ids.get('brotli') },
        { functionName: 'https_force', configId: undefined },
      ],
    ],
    'by its id where it is there; the one under a rule is another',
  )

  const since = emulator.requests.length
  t.same(partsOf(await go(place, restore(saved))), [
    'https_tls_version',
    'https_option',
    'gzip',
    'brotli',
    'https_force',
    'http_force',
  ])
  t.same(writes(since).slice(-2), ['DeleteSpecificConfig', 'BatchSetCdnDomainConfig'])
  t.same(held(domain), before, 'exactly what stood there')
  t.same((await plan(place, restore(saved))).changes, [])
  t.same(
    (await plan(place, restore({ ...saved, https_force: '{"enable":"off"}', http_force: null }))).changes.length,
    2,
  )
})

t.test('HSTS that stood there before, with a redirect', async (t) => {
  const name = newName()
  const domain = add(name, 'cdn', {
    functions: [
      { name: 'https_force', args: { enable: 'off', https_rewrite: '308' } },
      { name: 'HSTS', args: { enabled: 'off', https_hsts_max_age: '5184000', https_hsts_include_subdomains: 'on' } },
    ],
  })
  const before = held(domain)
  const place = placeOf(name)
  const { parts } = await place.read(signal)
  await go(place, enforce)
  t.match(argsOf(domain), {
    https_force: { enable: 'on', https_rewrite: '301' },
    HSTS: { enabled: 'on', https_hsts_max_age: '300', https_hsts_include_subdomains: 'off' },
  })
  await go(place, restore(parts))
  t.same(held(domain), before)
  await go(place, { verb: 'enforce', wish: { ...wish, hsts: undefined } })
  t.match(argsOf(domain), { https_force: { enable: 'on' }, HSTS: { enabled: 'off' } }, 'nothing was wished of it')
})

t.test('relaxed: plain HTTP works, and browsers are told to forget', async (t) => {
  const name = newName()
  const functions = [
    ...others.slice(1),
    { name: 'https_force', args: { enable: 'on', https_rewrite: '301' } },
    { name: 'https_force', args: { enable: 'on' }, parentId: '78' },
  ]
  const domain = add(name, 'cdn', { functions })
  const before = held(domain)
  const place = placeOf(name)
  t.equal((await ask(name, 'http')).status, 301)
  const { parts } = await place.read(signal)
  const since = emulator.requests.length
  const { changes, warnings } = await go(place, relax)
  t.same(partsOf({ changes, warnings }), ['https_force', 'HSTS'])
  t.same(writes(since), ['DeleteSpecificConfig', 'BatchSetCdnDomainConfig'], 'first of all, who comes gets something')
  t.match(await ask(name, 'http'), { status: 200, body: 'for all' })
  t.match(await ask(name, 'https'), { status: 200, hsts: 'max-age=0; includeSubDomains' })
  t.match(warnings, [/all names below it to HTTPS for up to 60 days .*max-age=5184000/, /under a rule .* may redirect/])
  t.same((await plan(place, relax)).changes, [])
  t.same(
    held(domain).filter(({ name }) => name !== 'HSTS' && name !== 'https_force'),
    before.filter(({ name }) => name !== 'HSTS' && name !== 'https_force'),
    'nothing else',
  )
  await go(place, restore(parts))
  t.same(
    held(domain).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
    before.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
  )

  emulator.cdn.refuses = ({ name, args }) => name === 'HSTS' && args['https_hsts_max_age'] === '0'
  t.teardown(() => {
    emulator.cdn.refuses = undefined
  })
  const again = await plan(place, relax)
  for (const change of [...again.changes, ...again.changes]) await change.run(signal)
  t.match(argsOf(domain)['HSTS'], { enabled: 'off', https_hsts_max_age: '5184000' }, 'where it is refused')
  t.same((await plan(place, relax)).changes, [])
})

t.test('killed between two changes, and run again', async (t) => {
  t.teardown(() => {
    emulator.cdn.oneAtATime = false
  })
  const aims: readonly HttpsAim[] = [{ verb: 'enforce', wish: { ...wish, gzip: true, brotli: true } }, relax, disable]
  for (const aim of aims) {
    const name = newName()
    const fresh = (): Domain =>
      add(name, 'cdn', {
        functions:
          aim.verb === 'enforce'
            ? others
            : [...others.slice(1), { name: 'https_force', args: { enable: 'on', https_rewrite: '301' } }],
      })
    const wanted = fresh()
    const whole = await go(placeOf(name), aim)
    for (let done = 0; done <= whole.changes.length; done += 1) {
      // Otherwise several changes are made at once, and there is less between them.
      emulator.cdn.oneAtATime = true
      const domain = fresh()
      const before = held(domain)
      const place = placeOf(name)
      const { parts } = await place.read(signal)
      for (const change of (await plan(place, aim)).changes.slice(0, done)) {
        await change.run(signal)
        await change.run(signal)
      }
      const rest = await go(place, aim)
      t.equal(rest.changes.length, whole.changes.length - done, `${aim.verb}: ${done} were done`)
      t.same([held(domain), domain.https], [held(wanted), wanted.https])
      const { https: _, ...functions } = parts
      await go(place, restore(functions))
      t.same(held(domain), before, 'and as it was')
    }
  }
})

t.test('a restore that was killed comes to the same end', async (t) => {
  const name = newName()
  const place = placeOf(name)
  const before = held(add(name, 'cdn', { functions: others }))
  const { parts } = await place.read(signal)
  emulator.cdn.oneAtATime = true
  t.teardown(() => {
    emulator.cdn.oneAtATime = false
  })
  for (let done = 0; done <= 5; done += 1) {
    const domain = add(name, 'cdn', { functions: others })
    await go(place, { verb: 'enforce', wish: { ...wish, redirect: 308, gzip: true, brotli: true } })
    for (const change of (await plan(place, restore(parts))).changes.slice(0, done)) await change.run(signal)
    t.equal((await go(place, restore(parts))).changes.length, 6 - done)
    t.same(held(domain), before, `${done} were done`)
  }
})

t.test('HTTPS that is off', async (t) => {
  const name = newName()
  const domain = add(name, 'cdn', { certificate: undefined })
  const place = placeOf(name)
  const off = (await place.read(signal)).parts
  const refused = await failed(plan(place, enforce))
  t.match(refused, { code: 'NOT_SERVED', message: new RegExp(`HTTPS is off for the CDN domain ${name}`) })
  t.match(refused.hint, new RegExp(`acme-oss deploy .* --cdn-domain ${name}$`))
  t.same((await plan(place, relax)).changes, [])
  t.same(domain.functions, [])

  const stored = emulator.cas.add({ ...material, name: 'in-cas' })
  const kept = { ...material, certName: 'in-cas', certType: 'cas', certId: String(stored.id) } as const
  add(name, 'cdn', { certificate: kept })
  await go(place, enforce)
  const enforced = (await place.read(signal)).parts
  const then = held(emulator.cdn.domain(name) as Domain)
  const { changes, warnings } = await plan(place, restore(off))
  t.same(partsOf({ changes, warnings }).includes('https'), false)
  t.match(warnings, [/was off then and has been switched on since: it is left on/])
  await go(place, disable)
  t.same(partsOf(await go(place, restore(enforced))), ['https', 'https_force', 'HSTS'], 'HTTPS comes first')
  t.match(emulator.cdn.domain(name), { https: true, certificate: { certId: String(stored.id), certType: 'cas' } })
  t.same(held(emulator.cdn.domain(name) as Domain), then)
  t.same((await plan(place, restore(enforced))).changes, [])

  add(name, 'cdn', { certificate: { ...kept, certName: 'next', certId: '1' } })
  const { HSTS: hsts, ...withoutHsts } = enforced
  t.type(hsts, 'string')
  await go(place, restore(withoutHsts))
  t.match(emulator.cdn.domain(name), { certificate: { certId: '1' } }, 'a certificate that came since stays')

  await go(place, disable)
  const gone = await plan(place, restore({ ...enforced, https: '{"https":"on","id":"424242","region":"cn-hangzhou"}' }))
  t.match(await failed((async () => gone.changes[0]?.run(signal))()), {
    vendor: { code: 'Certificate.NotFind' },
    hint: /may be gone or over: deploy one with acme-oss deploy --cdn-domain/,
  })
  const uploaded = { ...enforced, https: '{"https":"on","name":"handed-over"}' }
  t.match(await failed(plan(place, restore(uploaded))), { code: 'NOT_SERVED', hint: /acme-oss deploy .* --cdn-domain/ })
  const unforced = { ...uploaded, https_force: null, HSTS: null }
  t.match(await failed(plan(place, restore(unforced))), { code: 'NOT_SERVED', message: /HTTPS is off/ })
  t.match(await failed(plan(place, restore({ ...enforced, gzip: '{' }))), { code: 'STATE_UNUSABLE' })
})

t.test('one permission after the other is missing', async (t) => {
  for (const product of products) {
    const name = newName()
    const domain = add(name, product, { functions: others })
    const stored = emulator.cas.add({ ...material })
    const without = (action: string) =>
      placeOf(name, { product, deny: [{ action: `${product}:${action}`, resource: '*' }] })
    const grant = (action: string) => new RegExp(`grant the RAM user ${product}:${action} on .*domain/${name}`)

    const blind = without(reads[product].functions)
    const seen = await blind.read(signal)
    t.match(seen.facts, { https: true, plainHttp: null, redirectCode: null, tls: null, hsts: null, http2: null })
    t.same(Object.keys(seen.unread).length, 7)
    t.equal('gzip' in seen.parts, false)
    for (const aim of [enforce, relax, disable, restore({ gzip: null })])
      t.match(await failed(plan(blind, aim)), { code: 'CLOUD_REFUSED', hint: grant(reads[product].functions) })
    t.same((await plan(blind, restore({}))).changes, [])

    const unlooking = without(reads[product].certificate)
    const half = await unlooking.read(signal)
    t.match(half, { facts: { https: null, plainHttp: 'answered' }, unread: { https: { code: 'CLOUD_REFUSED' } } })
    for (const aim of [enforce, disable])
      t.match(await failed(plan(unlooking, aim)), { code: 'CLOUD_REFUSED', hint: grant(reads[product].certificate) })
    t.same(partsOf(await plan(unlooking, relax)), ['HSTS'], 'it is no matter in an emergency')

    const before = held(domain)
    const { remove, set, ssl } = names[product]
    t.match(await failed(go(without(remove), enforce)), { code: 'CLOUD_REFUSED', hint: grant(remove) })
    t.same(held(domain), before)
    const since = emulator.requests.length
    t.match(await failed(go(without(set), relax)), { code: 'CLOUD_REFUSED', hint: grant(set) })
    t.same(held(domain), before)
    t.same(writes(since), [set], 'a right that is missing is no refusal of what was asked: nothing else is tried')
    t.match(await failed(go(without(ssl), disable)), { code: 'CLOUD_REFUSED', hint: grant(ssl) })
    t.match(domain, { https: true })

    const rights = edgeHttpsPermissions({ product, domain: name })
    const allow = rights.map(({ actions, resources }) => ({ action: actions, resource: resources }))
    const place = placeOf(name, { product, allow })
    await go(place, enforce)
    await go(place, relax)
    await go(place, disable)
    const on = `{"https":"on","id":"${stored.id}","region":"cn-hangzhou"}`
    t.same(partsOf(await go(place, restore({ https: on }))), ['https'], 'those that are listed are enough')
    t.equal(domain.https, true)
  }
})

t.test('a domain that is still being configured', async (t) => {
  const name = newName()
  const domain = add(name, 'cdn')
  const when = { action: 'cdn:BatchSetCdnDomainConfig', key: name }
  const busy = { status: 403, code: 'ServiceBusy' }
  const passing = emulator.fail({ ...when, nth: [1, 2] }, busy)
  const ended = await go(placeOf(name), { verb: 'enforce', wish: { ...wish, http2: false } })
  t.equal(passing.hits, 2)
  t.same(Object.keys(argsOf(domain)).sort(), ['HSTS', 'https_force', 'https_tls_version'])
  t.equal(ended.changes.length, 3)

  // It is asked to come back when there is no time left.
  emulator.fail(when, { ...busy, headers: { 'x-acs-retry-after': '60000' } })
  const hurried = await failed(go(placeOf(name), { verb: 'enforce', wish: { ...wish, gzip: true } }))
  t.match(hurried, { code: 'CLOUD_UNAVAILABLE', passing: true, vendor: { code: 'ServiceBusy' } })
  t.match(hurried.hint, /not done yet: switch HTTP\/2 on, and what comes after it; .*--timeout/)
})

t.test('answers that get lost', async (t) => {
  const name = newName()
  const domain = add(name, 'cdn', { functions: others })
  for (const [action, nth] of [
    ['DeleteSpecificConfig', 1],
    // It makes new functions.
    ['BatchSetCdnDomainConfig', 1],
  ] as const)
    emulator.fail({ action: `cdn:${action}`, key: name, nth }, { reset: 'after' })
  await go(placeOf(name), enforce)
  const deleted = emulator.requests.filter(({ action, key }) => action === 'cdn:DeleteSpecificConfig' && key === name)
  t.same(
    deleted.map(({ answer }) => answer?.code),
    [undefined, 'InvalidConfigId.NotFound'],
    'done, though refused',
  )
  t.match(argsOf(domain), { http_force: undefined, https_force: { enable: 'on' } })
  t.equal(domain.functions.filter(({ name }) => name === 'https_force').length, 1)
})

t.test('changed by somebody else between the look and the change', async (t) => {
  const name = newName()
  const domain = add(name, 'cdn', { functions: others })
  const place = placeOf(name)
  const { changes } = await plan(place, enforce)
  const theirs = domain.functions.map((one) =>
    one.name === 'https_tls_version' ? { ...one, args: { ...one.args, ciphersuitegroup: 'strict' } } : one,
  )
  domain.functions = theirs
  const tls = changes.find(({ part }) => part === 'https_tls_version')
  t.match(await failed((async () => tls?.run(signal))()), { message: /changed by somebody else/, passing: true })
  t.same(domain.functions, theirs)

  const next = await plan(place, enforce)
  await next.changes[0]?.run(signal)
  domain.functions = domain.functions.map((one) =>
    one.name === 'https_option' ? { ...one, args: { http2: 'off' } } : one,
  )
  await next.changes[1]?.run(signal)
  t.match(argsOf(domain), {
    https_tls_version: { tls12: 'on', tls10: 'off', ciphersuitegroup: 'strict' },
    https_option: { http2: 'off', ocsp_stapling: undefined },
    https_force: { enable: 'on' },
  })
  t.match(await failed((async () => next.changes[2]?.run(signal))()), { message: /^https_option of .* changed by/ })
})

t.test('what is there more than once is not touched', async (t) => {
  const name = newName()
  const twice = { name: 'gzip', args: { enable: 'on' } }
  const domain = add(name, 'cdn', { functions: [twice, twice] })
  const place = placeOf(name)
  const { unread, facts } = await place.read(signal)
  t.match(unread, { gzip: { message: new RegExp(`${name} has gzip, or something in it, more than once`) } })
  t.equal(facts.gzip, null)
  t.match(await failed(plan(place, { verb: 'enforce', wish: { ...wish, gzip: true } })), unread['gzip'] ?? {})
  await go(place, enforce)
  t.same(
    held(domain).filter(({ name }) => name === 'gzip'),
    [twice, twice],
    'where it is not asked for',
  )
})

t.test('what the product does not take', async (t) => {
  const name = newName()
  const domain = add(name, 'cdn', {
    functions: [{ name: 'http_force', args: { enable: 'off' }, parentId: '7' }],
  })
  const place = placeOf(name)
  t.match(await failed(plan(place, enforce)), {
    message: /http_force stands under a rule/,
    hint: /delete it in the console/,
  })
  t.match(await failed(go(place, restore({ https_force: '{"enable":"on"}' }))), {
    vendor: { code: 'BatchSetBusinessError' },
    hint: /redirect from HTTPS to HTTP, on or off/,
  })
  domain.functions = []
  emulator.cdn.refuses = ({ args }) => 'https_hsts_preload' in args
  t.teardown(() => {
    emulator.cdn.refuses = undefined
  })
  const hsts = { maxAge: 31_536_000, includeSubdomains: true, preload: true }
  t.match(await failed(go(place, { verb: 'enforce', wish: { ...wish, hsts } })), {
    hint: /run it again without preload/,
  })
  t.equal(domain.inForce('https_force')['enable'], 'on')
  emulator.cdn.refuses = undefined
  await go(place, { verb: 'enforce', wish: { ...wish, hsts } })
  t.equal((await ask(name, 'https')).hsts, 'max-age=31536000; includeSubDomains; preload')
  await go(place, relax)
  t.equal((await ask(name, 'https')).hsts, 'max-age=0; includeSubDomains')
})

t.test('a wildcard, and a domain that is not there', async (t) => {
  const domain = add('.wild.example.com', 'cdn')
  const place = placeOf('.wild.example.com')
  t.same(await place.hosts(signal), ['acme-oss-check.wild.example.com'])
  await go(place, enforce)
  t.equal(domain.inForce('https_force')['enable'], 'on')
  t.match(await failed(placeOf('nobody.example.com').read(signal)), { vendor: { code: 'InvalidDomain.NotFound' } })
  const aborted = AbortSignal.abort()
  t.match(await failed(place.read(aborted)), { code: 'INTERRUPTED' })
})
