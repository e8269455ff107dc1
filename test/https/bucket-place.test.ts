// A bucket as a place, in this process, against the emulator: what it is before and after, part by part.
import t from 'tap'
import { BoundDomains } from '../../src/aliyun/bound-domains.js'
import { BucketConfiguration } from '../../src/aliyun/bucket-configuration.js'
import { EdgeDomains } from '../../src/aliyun/edge-domains.js'
import { ossEndpoint } from '../../src/aliyun/endpoint.js'
import { Pace } from '../../src/aliyun/pace.js'
import { RpcClient } from '../../src/aliyun/rpc.js'
import type { CertError } from '../../src/errors.js'
import { HttpConnections } from '../../src/http-connections.js'
import { bucketHttpsPermissions } from '../../src/https/bucket-permissions.js'
import { type BucketPlaceOptions, bucketPlace } from '../../src/https/bucket-place.js'
import { nothingConfigured, withVersions } from '../../src/https/https-configuration.js'
import type { HttpsAim, HttpsPlace, HttpsState } from '../../src/https/https-place.js'
import type { HttpsWish } from '../../src/https/https-wish.js'
import { denialFor } from '../../src/https/policy-statement.js'
import { Secret } from '../../src/secret.js'
import { mintMaterial } from '../deploy-world.js'
import type { AccessKey } from '../emulator/access-key.js'
import { startEmulator } from '../emulator/emulator.js'
import type { Bucket, BucketOptions } from '../emulator/oss/bucket.js'
import { sendRaw } from '../emulator/send-raw.js'
import { noFacts } from './no-facts.js'

const { signal } = new AbortController()
const emulator = await startEmulator()
const plain = await emulator.startPlainEdge()
const connections = new HttpConnections()
t.teardown(async () => {
  connections.close()
  await emulator.close()
})
const { fullchain, key } = await mintMaterial({ names: ['*.example.com'] })
const certificate = { fullchain, key }
const all: AccessKey['allow'] = [{ action: '*', resource: '*' }]

let count = 0

interface Site {
  readonly bucket: Bucket
  readonly name: string
  readonly host: string
  /** The place for a user who may do all but this. */
  place(more?: Partial<BucketPlaceOptions>, denied?: readonly string[]): HttpsPlace
  /** What a visitor gets by plain HTTP. */
  byPlainHttp(): Promise<number>
  /** Reads, plans and does it all. */
  make(aim: HttpsAim, place?: HttpsPlace): Promise<readonly string[]>
}

const newSite = (options: BucketOptions = {}, isHosted = true): Site => {
  const name = `site-${++count}`
  const host = `${name}.example.com`
  const bucket = emulator.addBucket(name, { acl: 'public-read', ...options })
  emulator.putObject(name, 'index.html', 'hello')
  emulator.bindCname(host, name, isHosted ? { certificate } : {})
  const place: Site['place'] = (more = {}, denied = []) => {
    const user = { id: `LTAI-${++count}`, secret: 'not-a-secret', allow: all }
    emulator.addKey({ ...user, deny: denied.map((action) => ({ action, resource: '*' })) })
    const endpoint = ossEndpoint({ bucket: name, region: 'cn-hangzhou', endpoint: emulator.url })
    const client = {
      bucket: name,
      endpoint,
      bucketEndpoint: endpoint,
      credentials: async () => ({
        accessKeyId: new Secret(user.id),
        accessKeySecret: new Secret(user.secret),
        securityToken: undefined,
      }),
      connections,
      timeout: 5000,
      now: () => new Date(),
    }
    const edges = (['cdn', 'dcdn'] as const).map((product) => {
      const version = product === 'cdn' ? '2018-05-10' : '2018-01-15'
      const pace = new Pace(1000, 10)
      return new EdgeDomains(product, new RpcClient({ ...client, endpoint: new URL(emulator.url), version, pace }))
    })
    return bucketPlace({
      bucket: name,
      domains: [],
      configuration: new BucketConfiguration(client),
      bound: new BoundDomains(client),
      edges,
      settings: { bucket: name },
      ...more,
    })
  }
  return {
    bucket,
    name,
    host,
    place,
    byPlainHttp: async () => (await sendRaw(plain.port, { host, target: '/index.html' })).status,
    make: async (aim, at = place()) => {
      const { changes } = at.plan(aim, await at.read(signal))
      for (const change of changes) {
        await change.run(signal)
        t.equal((await at.read(signal)).parts[change.part], change.after, change.does)
      }
      return changes.map(({ part }) => part)
    },
  }
}

const wish: HttpsWish = {
  tls: ['1.2', '1.3'],
  redirect: 301,
  hsts: { maxAge: undefined, includeSubdomains: true, preload: false },
  http2: true,
  gzip: true,
  brotli: true,
}
const enforce = { verb: 'enforce', wish } as const
const relax = { verb: 'relax' } as const
const disable = { verb: 'disable' } as const
const restore = ({ parts }: HttpsState) => ({ verb: 'restore', parts }) as const

const foreign = `{"Effect":"Allow", "Principal":["123"],
   "Action":["oss:GetObject"],"Resource":["acs:oss:*:*:elsewhere/*"]}`
const policyOf = (...statements: readonly string[]) =>
  `{ "Version":"1",\n "Statement":[${statements.join(' ,\n ')} ] }\n`
const suite = '<CipherSuite> <Enable>true</Enable><StrongCipherSuite>true</StrongCipherSuite> </CipherSuite>'
const configuration = `<HttpsConfiguration>\n <TLS> <Enable>true</Enable> <TLSVersion>TLSv1.0</TLSVersion></TLS>${suite}\n</HttpsConfiguration>\n`

const refusal = (plan: () => unknown): CertError => {
  try {
    plan()
  } catch (error) {
    return error as CertError
  }
  throw new Error('it was planned')
}

const failure = async (work: Promise<unknown> | undefined): Promise<CertError> => {
  try {
    await work
  } catch (error) {
    return error as CertError
  }
  throw new Error('it was done')
}

t.test('enforced, enforced again, and restored to the byte', async (t) => {
  const site = newSite({ policy: policyOf(foreign), httpsConfig: configuration })
  const before = await site.place().read(signal)
  const id = emulator.cname(site.host)?.certificate?.certId
  t.same(before.parts, { tls: configuration, policy: policyOf(foreign), [`certificate ${site.host}`]: id })
  t.same(before.unread, {})
  t.match(before.facts, { https: true, plainHttp: 'answered', tls: ['1.0'], redirectCode: null, hsts: null })
  t.same(await site.place().hosts(signal), [site.host])
  t.equal(await site.byPlainHttp(), 200)

  t.same(await site.make(enforce), ['tls', 'policy'])
  t.match((await site.place().read(signal)).facts, { plainHttp: 'denied', tls: ['1.2', '1.3'] })
  t.equal(await site.byPlainHttp(), 403)
  t.equal(
    site.bucket.policy,
    policyOf(foreign, denialFor(site.name)).replace(' ,\n ', ','),
    'the other statement stays',
  )
  t.ok(site.bucket.httpsConfig?.includes(suite), 'ciphers stay')
  t.same(await site.make(enforce), [], 'nothing is left to do')

  t.same(await site.make(restore(before)), ['policy', 'tls'])
  t.same((await site.place().read(signal)).parts, before.parts)
  t.equal(site.bucket.policy, policyOf(foreign))
  t.equal(site.bucket.httpsConfig, configuration)
  t.same(await site.make(restore(before)), [])
})

t.test('where nothing was configured', async (t) => {
  const site = newSite({}, false)
  const before = await site.place().read(signal)
  t.same(before.parts, { tls: null, policy: null, [`certificate ${site.host}`]: null })
  t.match(before.facts, { https: false, plainHttp: 'answered', tls: null })
  t.same(await site.make(enforce), ['tls', 'policy'])
  t.equal(site.bucket.policy, `{"Version":"1","Statement":[${denialFor(site.name)}]}`)
  t.same(await site.make(restore(before)), ['policy', 'tls'])
  t.equal(site.bucket.policy, undefined, 'a policy with nothing in it is none')
  t.equal(site.bucket.httpsConfig, nothingConfigured(), 'a configuration cannot be deleted')
  t.same((await site.place().read(signal)).facts, before.facts)
  t.same(await site.make(restore(before)), [], 'and that is as good as none')
})

t.test('relaxed', async (t) => {
  const theirs = JSON.stringify({ ...JSON.parse(denialFor('*')), Sid: 'of somebody else' })
  const site = newSite({ policy: policyOf(theirs, foreign) })
  t.equal(await site.byPlainHttp(), 403)
  t.match(site.place().plan(enforce, await site.place().read(signal)).changes, [{ part: 'tls' }], 'denied by others')
  const before = await site.place().read(signal)
  t.same(await site.make(relax), ['policy'])
  t.equal(await site.byPlainHttp(), 200)
  t.equal(site.bucket.policy, policyOf(foreign))
  t.same(await site.make(relax), [])
  t.same(await site.make(restore(before)), ['policy'])
  t.equal(site.bucket.policy, policyOf(theirs, foreign))

  const partly = JSON.stringify({ ...JSON.parse(denialFor(site.name)), Principal: ['123'] })
  site.bucket.policy = policyOf(partly, denialFor(site.name))
  const plan = site.place().plan(relax, await site.place().read(signal))
  t.match(plan.warnings, [/one statement for some/])
  site.bucket.policy = policyOf(denialFor(site.name))
  t.same(await site.make(relax), ['policy'])
  t.equal(site.bucket.policy, undefined)
})

t.test('disabled, and its certificate bound again', async (t) => {
  const site = newSite()
  const named = site.place({ domains: [site.host] })
  await site.make(enforce)
  const part = `certificate ${site.host}`
  const before = await site.place().read(signal)
  t.same(await site.make(disable, named), ['policy', part])
  t.equal(emulator.cname(site.host)?.certificate, undefined)
  t.equal(emulator.cname(site.host)?.bucket, site.name, 'it stays bound')
  t.equal(await site.byPlainHttp(), 200)
  t.equal((await site.place().read(signal)).facts.https, false)
  t.same(await site.make(disable, named), [])
  t.same(await site.make(restore(before)), [part, 'policy'], 'HTTPS first')
  t.same((await site.place().read(signal)).parts, before.parts)

  const newer = { ...before.parts, [part]: '1-cn-hangzhou' }
  const place = site.place()
  const kept = place.plan(restore({ ...before, parts: newer }), await place.read(signal))
  t.match(kept, { changes: { length: 0 }, warnings: [/another certificate by now/] })
  const none = place.plan(restore({ ...before, parts: { [part]: null } }), await place.read(signal))
  t.same(none, { changes: [], warnings: [] }, 'one that was bound since is not taken away')
  await site.make(disable, named)
  const gone = { [part]: '1-cn-hangzhou', 'certificate other.example.com': '1' }
  const { changes, warnings } = place.plan({ verb: 'restore', parts: gone }, await place.read(signal))
  t.match(warnings, [/other.example.com is not bound/])
  t.equal(changes.length, 1)
  t.match(await failure(changes[0]?.run(signal)), {
    vendor: { code: 'CertificateInvalidCasId' },
    hint: /acme-oss deploy/,
  })
})

t.test('only the domains that are named lose their certificate', async (t) => {
  const site = newSite()
  t.same(await site.make(disable), [], 'nobody named one')
  emulator.bindCname(`also-${site.host}`, site.name, { certificate })
  t.same(await site.make(disable, site.place({ domains: [site.host] })), [`certificate ${site.host}`])
  t.ok(emulator.cname(`also-${site.host}`)?.certificate)
  t.same(
    await site.place({ domains: [site.host] }).hosts(signal),
    [`also-${site.host}`, site.host],
    'HTTP ends for all',
  )
  const place = site.place({ domains: ['typo.example.com'] })
  const state = await place.read(signal)
  t.match(
    refusal(() => place.plan(disable, state)),
    { code: 'USAGE', message: /typo.example.com is not bound/ },
  )
})

t.test('killed between two changes, and run again', async (t) => {
  const site = newSite({ httpsConfig: configuration, policy: policyOf(foreign) })
  const before = await site.place().read(signal)
  const first = site.place()
  const [versions, denial] = first.plan(enforce, before).changes
  await versions?.run(signal)
  t.same(await site.make(enforce), ['policy'])
  await versions?.run(signal)
  await denial?.run(signal)
  t.equal(site.bucket.policy, denial?.after, 'twice is once')
  const [back] = first.plan(restore(before), await first.read(signal)).changes
  await back?.run(signal)
  t.same(await site.make(restore(before)), ['tls'])
  t.same((await site.place().read(signal)).parts, before.parts)
})

t.test('changed by somebody else meanwhile', async (t) => {
  const site = newSite()
  const place = site.place({ domains: [site.host] })
  const { changes } = place.plan(enforce, await place.read(signal))
  site.bucket.policy = policyOf(foreign)
  site.bucket.httpsConfig = configuration
  for (const change of changes)
    t.match(await failure(change.run(signal)), { passing: true, message: /by somebody else/ })
  t.equal(site.bucket.policy, policyOf(foreign))
  t.equal(site.bucket.httpsConfig, configuration)
  const [, certificateGoes] = place.plan(disable, {
    ...(await place.read(signal)),
    parts: { policy: policyOf(denialFor(site.name)), [`certificate ${site.host}`]: 'another' },
  }).changes
  t.match(await failure(certificateGoes?.run(signal)), { passing: true })
  t.ok(emulator.cname(site.host)?.certificate)

  const saved = { ...(await place.read(signal)), parts: { policy: null } }
  t.match(place.plan(restore(saved), await place.read(signal)).warnings, [/changed otherwise/])
})

t.test('what cannot be changed is refused, and nothing is touched', async (t) => {
  const site = newSite()
  const place = site.place()
  const wantsLess = { verb: 'enforce', wish: { ...wish, tls: ['1.0', '1.1'] as const } } as const
  t.match(
    refusal(() => place.plan(wantsLess, stateOf({ tls: null, policy: null }))),
    { code: 'USAGE', message: /TLS 1.0/ },
  )
  for (const policy of ['{', '{"Statement":{}}'])
    for (const aim of [enforce, relax, disable])
      t.match(
        refusal(() => place.plan(aim, stateOf({ tls: null, policy }))),
        { code: 'USAGE', message: /the policy of/ },
      )
  const strange = stateOf({ tls: '<HttpsConfiguration/>', policy: null })
  t.match(
    refusal(() => place.plan(enforce, strange)),
    { code: 'USAGE', message: /the HTTPS configuration of/ },
  )
  const policy = policyOf(JSON.stringify({ Sid: 'x'.repeat(16_384 - 150) }))
  const long = { code: 'INPUT_TOO_LARGE', message: /OSS takes 16384 \(16 KB\)/ }
  t.match(
    refusal(() => place.plan(enforce, stateOf({ tls: null, policy }))),
    long,
  )
  site.bucket.policy = 'no policy'
  site.bucket.httpsConfig = '<html/>'
  t.match((await place.read(signal)).facts, { tls: null, plainHttp: null })
})

const stateOf = (parts: HttpsState['parts']): HttpsState => ({ parts, unread: {}, facts: noFacts })

t.test('rights missing one at a time', async (t) => {
  const site = newSite()
  const without = async (aim: HttpsAim, ...actions: readonly string[]): Promise<unknown> => {
    const place = site.place({ domains: [site.host] }, actions)
    try {
      for (const change of place.plan(aim, await place.read(signal)).changes) await change.run(signal)
      return 'done'
    } catch (error) {
      const { code, message, hint } = error as CertError
      return `${code} ${message} ${hint}`
    }
  }
  const fresh = stateOf({ tls: null, policy: null })
  for (const [aim, actions, expected] of [
    [enforce, ['oss:GetBucketHttpsConfig'], 'done'],
    [restore(fresh), ['oss:PutTLSVersion'], 'done'],
    [
      enforce,
      ['oss:GetBucketHttpsConfig', 'oss:GetTLSVersion'],
      /^CLOUD_REFUSED reading the HTTPS configuration .* grant .*oss:GetBucketHttpsConfig and oss:GetTLSVersion/,
    ],
    [
      enforce,
      ['oss:PutBucketHttpsConfig', 'oss:PutTLSVersion'],
      /changing the HTTPS configuration .* grant .*oss:PutTLSVersion/,
    ],
    [enforce, ['oss:GetBucketPolicy'], /reading the policy .* grant .*oss:GetBucketPolicy/],
    [enforce, ['oss:PutBucketPolicy'], /changing the policy .* grant .*oss:PutBucketPolicy/],
    [enforce, ['oss:ListCname', 'oss:PutCname', 'oss:DeleteBucketPolicy'], 'done'],
    [relax, ['oss:GetBucketPolicy'], /reading the policy .* grant .*oss:GetBucketPolicy/],
    [relax, ['oss:DeleteBucketPolicy'], /deleting the policy .* grant .*oss:DeleteBucketPolicy/],
    [disable, ['oss:ListCname'], /may not be listed .*oss:ListCname/],
    [relax, ['oss:GetBucketHttpsConfig', 'oss:GetTLSVersion', 'oss:ListCname', 'oss:PutBucketPolicy'], 'done'],
    [disable, ['oss:PutCname'], /deleting the certificate .* grant .*oss:PutCname/],
  ] as const)
    t.match(await without(aim, ...actions), expected, `${aim.verb} without ${actions.join(', ')}`)

  const blind = site.place({}, ['oss:*'])
  const { parts, unread, facts } = await blind.read(signal)
  t.same(parts, {})
  t.same(Object.keys(unread).sort(), ['certificate *', 'policy', 'tls'])
  t.match(facts, { https: null, plainHttp: null, tls: null })
  t.match(await failure(blind.hosts(signal)), { hint: /oss:ListCname/ })
  const named = site.place({ domains: [site.host] }, ['oss:ListCname'])
  t.same(await named.hosts(signal), [site.host], 'they can be told')
  t.same(Object.keys((await named.read(signal)).unread), [`certificate ${site.host}`])
  const odd = emulator.fail(
    { action: 'oss:*HttpsConfig', bucket: site.name },
    { status: 405, code: 'MethodNotAllowed' },
  )
  t.equal(await without(relax), 'done', 'a region that knows no HTTPS configuration')
  t.match(await without(enforce), /MethodNotAllowed/)
  odd.remove()
  emulator.fail({ action: 'oss:GetBucketPolicy', bucket: site.name }, { status: 404, code: 'NoSuchBucket' })
  t.match(
    await failure(site.place().read(signal)),
    { vendor: { code: 'NoSuchBucket' } },
    'no such policy is another answer',
  )
})

t.test('the rights that are asked for are enough', async (t) => {
  const site = newSite({ httpsConfig: withVersions(null, ['1.1']) })
  const granted = bucketHttpsPermissions({ bucket: site.name, changes: true, certificates: true })
  const allow = granted.flatMap(({ actions, resources }) =>
    actions.flatMap((action) => resources.map((resource) => ({ action, resource }))),
  )
  const place = site.place({ domains: [site.host] })
  const before = await place.read(signal)
  emulator.addKey({ id: `LTAI-${count}`, secret: 'not-a-secret', allow })
  for (const aim of [enforce, relax, disable, restore(before)]) t.ok((await site.make(aim, place)).length > 0, aim.verb)
  t.same((await site.place().read(signal)).parts, before.parts)
  const looking = bucketHttpsPermissions({ bucket: site.name, changes: false, certificates: false })
  t.notMatch(JSON.stringify(looking), /Put|Delete/)
})

t.test('what fetches from the bucket by plain HTTP', async (t) => {
  const site = newSite()
  t.same(await site.place().hazards(signal), [])
  emulator.addCdnDomain(`cdn-${site.host}`, { origin: site.name })
  emulator.addCdnDomain(`another-${site.host}`, { origin: 'site-1' })
  t.match(await site.place().hazards(signal), [
    new RegExp(`^CDN domain cdn-${site.host} fetches from the bucket ${site.name}: `),
  ])
  const inactive = emulator.fail({ action: 'dcdn:*' }, { status: 404, code: 'DcdnServiceNotFound' })
  t.equal((await site.place().hazards(signal)).length, 1, 'no DCDN, no domains of DCDN')
  inactive.remove()
  const unknown = /^which CDN and DCDN domains fetch from the bucket/
  t.match(await site.place({ edges: [] }).hazards(signal), [unknown])
  t.match(await site.place({}, ['dcdn:*']).hazards(signal), [/^CDN domain/, unknown])
  t.match(await site.place({}, ['cdn:*', 'oss:*']).hazards(signal), { 0: unknown, length: 1 })
  emulator.addCdnDomain(`by-domain-${site.host}`)
  t.equal((await site.place().hazards(signal)).length, 1)
  emulator.bindCname('origin.example.com', site.name)
  t.equal((await site.place().hazards(signal)).length, 2, 'by a domain that is bound to the bucket')
})
