import t, { type Test } from 'tap'
import { type Material, mintMaterial } from '../deploy-world.js'
import { type KeyForm, keyPem } from '../mint.js'
import type { AccessKey } from './access-key.js'
import { callPop, type PopAnswer } from './call-pop.js'
import type { DomainStatus } from './cdn/domain.js'
import type { DomainStore } from './cdn/domain-store.js'
import { type Emulator, type EmulatorOptions, startEmulator } from './emulator.js'
import type { JsonObject } from './json.js'

const domain = 'static.example.com'
const key: AccessKey = { id: 'LTAI-tester', secret: 'not-a-secret', allow: [{ action: '*', resource: '*' }] }

const material = await mintMaterial({ names: [domain] })
const other = await mintMaterial({ names: [domain] })

type Form = Readonly<Record<string, string>>

/** What the two products call the same things. */
const flavours = {
  cdn: {
    set: 'SetCdnDomainSSLCertificate',
    info: 'DescribeDomainCertificateInfo',
    list: 'DescribeUserDomains',
    detail: 'DescribeCdnDomainDetail',
    cname: 'DescribeDomainCname',
    https: 'DescribeCdnHttpsDomainList',
    configs: 'DescribeCdnDomainConfigs',
    setConfigs: 'BatchSetCdnDomainConfig',
    deleteConfig: 'DeleteSpecificConfig',
    deleteConfigs: 'BatchDeleteCdnDomainConfig',
  },
  dcdn: {
    set: 'SetDcdnDomainSSLCertificate',
    info: 'DescribeDcdnDomainCertificateInfo',
    list: 'DescribeDcdnUserDomains',
    detail: 'DescribeDcdnDomainDetail',
    cname: 'DescribeDcdnDomainCname',
    https: 'DescribeDcdnHttpsDomainList',
    configs: 'DescribeDcdnDomainConfigs',
    setConfigs: 'BatchSetDcdnDomainConfigs',
    deleteConfig: 'DeleteDcdnSpecificConfig',
    deleteConfigs: 'BatchDeleteDcdnDomainConfigs',
  },
} as const

interface World {
  readonly emulator: Emulator
  readonly store: DomainStore
  readonly add: Emulator['addCdnDomain']
  readonly call: (action: keyof (typeof flavours)['cdn'], form?: Form) => Promise<PopAnswer>
  /** The status and the code. */
  readonly tries: (
    action: keyof (typeof flavours)['cdn'],
    form?: Form,
  ) => Promise<readonly [number, string | undefined]>
}

const open = async (t: Test, product: 'cdn' | 'dcdn', options: EmulatorOptions = {}): Promise<World> => {
  const emulator = await startEmulator(options)
  t.teardown(() => emulator.close())
  emulator.addKey(key)
  const add = product === 'cdn' ? emulator.addCdnDomain : emulator.addDcdnDomain
  add(domain)
  const time = (): { time?: Date } => (options.now ? { time: options.now() } : {})
  const call: World['call'] = (action, form = {}) => {
    const request = { product, action: flavours[product][action], ...time() }
    // The metadata of DCDN knows no POST for this one.
    const sent = action === 'cname' ? { ...request, method: 'GET', query: form } : { ...request, form }
    return callPop(emulator.port, sent, key)
  }
  const tries: World['tries'] = async (action, form) => {
    const { status, json } = await call(action, form)
    return [status, json.Code]
  }
  return { emulator, store: emulator[product], add, call, tries }
}

const upload = ({ fullchain, key }: Material, more: Form = {}): Form => ({
  DomainName: domain,
  SSLProtocol: 'on',
  CertName: 'a',
  SSLPub: fullchain,
  SSLPri: key,
  ...more,
})

const without = (form: Form, name: string): Form =>
  Object.fromEntries(Object.entries(form).filter(([given]) => given !== name))

const at = (json: JsonObject, ...path: readonly (string | number)[]): JsonObject => {
  let value: unknown = json
  for (const step of path) value = (value as Record<string | number, unknown>)[step]
  return value as JsonObject
}

const infoOf = async ({ call }: World, DomainName = domain): Promise<JsonObject> =>
  at((await call('info', { DomainName })).json, 'CertInfos', 'CertInfo', 0)

const iso = (date: Date): string => date.toISOString().replace(/\.\d+/, '')

for (const product of ['cdn', 'dcdn'] as const) {
  const names = flavours[product]

  t.test(`${product}: a certificate is set, and told of`, async (t) => {
    const world = await open(t, product)
    const { emulator, store, call, tries } = world
    const on = product === 'cdn' ? 'ServerCertificateStatus' : 'SSLProtocol'
    const none = await infoOf(world)
    t.match(none, { DomainName: domain, [on]: 'off' })
    t.notOk('CertName' in none || 'ServerCertificate' in none || 'SSLPub' in none)
    t.match(store.domain(domain), { status: 'online', https: false, certificate: undefined })

    t.same(Object.keys((await call('set', upload(material))).json), ['RequestId'])
    t.match(emulator.requests.at(-1), { action: `${product}:${names.set}`, key: domain })
    const live = store.domain(domain)
    t.match(live, { https: true, certificate: { certName: 'a', certType: 'upload', fullchain: material.fullchain } })
    t.equal(live?.certificate?.sha256, material.x509.fingerprint256.replaceAll(':', '').toLowerCase())
    const info = await infoOf(world)
    t.match(info, {
      CertDomainName: domain,
      CertExpireTime: iso(material.notAfter),
      CertId: /^\d+$/,
      CertLife: '3 months',
      CertName: 'a',
      CertOrg: 'Test Intermediate CA',
      CertRegion: 'cn-hangzhou',
      CertType: 'upload',
      DomainName: domain,
      Status: 'success',
      [on]: 'on',
      [product === 'cdn' ? 'ServerCertificate' : 'SSLPub']: material.fullchain,
    })
    const onlyCdn = [
      'CertStartTime',
      'CertUpdateTime',
      'DomainCnameStatus',
      'ServerCertificate',
      'ServerCertificateStatus',
    ]
    const onlyDcdn = ['SSLProtocol', 'SSLPub']
    const [mine, theirs] = product === 'cdn' ? [onlyCdn, onlyDcdn] : [onlyDcdn, onlyCdn]
    t.same(
      mine.filter((name) => !(name in info)),
      [],
    )
    t.same(
      theirs.filter((name) => name in info),
      [],
    )
    t.notMatch(JSON.stringify(info), 'PRIVATE KEY')

    t.same(await tries('set', upload(material)), [200, undefined], 'the same once more')
    t.same(await tries('set', { DomainName: domain, SSLProtocol: 'off' }), [200, undefined])
    t.match(store.domain(domain), { https: false, certificate: undefined })
    t.match(await infoOf(world), { [on]: 'off' })
  })

  t.test(`${product}: what is refused`, async (t) => {
    const { store, tries } = await open(t, product)
    const expired = await mintMaterial({ names: [domain], notAfter: new Date(Date.now() - 60_000) })
    const bad = async (form: Form, code: string, status = 400) =>
      t.same(await tries('set', form), [status, code], JSON.stringify(form).slice(0, 60))
    await bad(upload(material, { DomainName: 'nobody.example.com' }), 'InvalidDomain.NotFound', 404)
    await bad(without(upload(material), 'DomainName'), 'MissingDomainName')
    await bad(without(upload(material), 'SSLProtocol'), 'MissingSSLProtocol')
    await bad(upload(material, { SSLProtocol: 'yes' }), 'InvalidSSLProtocol.ValueNotSupported')
    await bad(upload(material, { CertType: 'free' }), 'SetDomainCertificate.ParameterError')
    await bad(without(upload(material), 'SSLPub'), 'SSLPub.MissingParameter')
    await bad(without(upload(material), 'SSLPri'), 'SSLPri.MissingParameter')
    await bad(without(upload(material), 'CertName'), 'CertName.MissingParameter', 404)
    await bad(upload(material, { CertName: 'a'.repeat(129) }), 'InvalidCertName.TooLong')
    await bad(upload(material, { SSLPub: 'x' }), 'InvalidSSLPub')
    await bad(upload(material, { SSLPub: material.key }), 'InvalidSSLPub')
    await bad(upload(material, { SSLPub: material.fullchain.replace('MII', 'MIX') }), 'InvalidSSLPub')
    await bad(upload(material, { SSLPri: 'x' }), 'InvalidSSLPri')
    await bad(upload(material, { SSLPri: keyPem(material.privateKey, 'pkcs8-encrypted') }), 'InvalidSSLPri')
    await bad(upload(material, { SSLPri: other.key }), 'Certificate.MissMatch')
    await bad(upload(expired), 'Certificate.Expired')
    await bad(upload(material, { Env: 'staging' }), 'InvalidParameter')
    t.match(store.domain(domain), { https: false, certificate: undefined }, 'nothing came of any')
  })

  t.test(`${product}: the forms of a key`, async (t) => {
    const { tries } = await open(t, product)
    const rsa = await mintMaterial({ names: [domain], key: 'rsa2048' })
    const forms: readonly (readonly [Material, KeyForm])[] = [
      [material, 'sec1'],
      [material, 'sec1-with-params'],
      [material, 'pkcs8'],
      [rsa, 'pkcs1'],
      [rsa, 'pkcs8'],
    ]
    for (const [pair, form] of forms) {
      const sent = upload(pair, { SSLPri: keyPem(pair.privateKey, form), CertName: pair === rsa ? 'rsa' : 'ec' })
      t.same(await tries('set', sent), [200, undefined], form)
    }
  })

  t.test(`${product}: names and contents`, async (t) => {
    const { store, add, tries } = await open(t, product)
    add('b.example.com', { certificate: { ...other, certName: 'theirs' } })
    t.same(await tries('set', upload(material)), [200, undefined])
    t.same(await tries('set', upload(other)), [400, 'Certificate.Duplicated'], 'the name has another content')
    t.same(await tries('set', upload(material, { CertName: 'theirs' })), [400, 'Certificate.Duplicated'])
    t.same(await tries('set', upload(material, { CertName: 'b' })), [200, undefined], 'another name, the same content')
    store.refuseSameContent = true
    t.same(await tries('set', upload(material, { CertName: 'c' })), [400, 'CertificateContent.Duplicated'])
    t.same(await tries('set', upload(material, { CertName: 'b' })), [200, undefined], 'under the name that it has')
  })

  t.test(`${product}: a certificate of the certificate service`, async (t) => {
    const world = await open(t, product)
    const { emulator, store, tries } = world
    const { id } = emulator.cas.add({ ...material, name: 'in-cas' })
    const old = emulator.cas.add(await mintMaterial({ names: [domain], notAfter: new Date(Date.now() - 60_000) }))
    const form = (more: Form): Form => ({ DomainName: domain, SSLProtocol: 'on', CertType: 'cas', ...more })
    t.same(await tries('set', form({})), [400, 'SetDomainCertificate.ParameterError'])
    t.same(await tries('set', form({ CertId: String(id + 100) })), [400, 'Certificate.NotFind'])
    t.same(await tries('set', form({ CertId: `${id}-cn-hangzhou` })), [400, 'InvalidParameter'], 'the number alone')
    t.same(await tries('set', form({ CertId: `${id}`, CertRegion: 'ap-southeast-1' })), [400, 'Certificate.NotFind'])
    t.same(await tries('set', form({ CertId: `${id}`, CertRegion: 'mars' })), [400, 'Abs.CertRegion.ValueNotSupported'])
    t.same(await tries('set', form({ CertId: `${old.id}` })), [400, 'Certificate.Expired'])
    t.equal(store.domain(domain)?.https, false)
    t.same(await tries('set', form({ CertId: `${id}`, CertRegion: 'cn-hangzhou' })), [200, undefined])
    t.match(await infoOf(world), { CertId: `${id}`, CertType: 'cas', CertName: 'in-cas', CertRegion: 'cn-hangzhou' })
    t.equal(store.domain(domain)?.certificate?.fullchain, material.fullchain)
  })

  t.test(`${product}: states`, async (t) => {
    let now = Date.now()
    const { store, add, tries } = await open(t, product, { now: () => new Date(now) })
    const states: Readonly<Record<DomainStatus, string | undefined>> = {
      online: undefined,
      configure_failed: undefined,
      configuring: 'ServiceBusy',
      offline: 'InvalidDomain.Offline',
      checking: 'InvalidDomain.notOnline',
      check_failed: 'InvalidDomain.notOnline',
      stopping: 'InvalidDomain.notOnline',
      deleting: 'InvalidDomain.notOnline',
    }
    for (const [status, code] of Object.entries(states)) {
      add(domain, { status: status as DomainStatus })
      const expected = code === undefined ? 200 : code === 'ServiceBusy' ? 403 : 400
      t.same(await tries('set', upload(material)), [expected, code], status)
      t.same(await tries('info', { DomainName: domain }), [200, undefined], 'reading is always possible')
    }

    add(domain)
    store.configuringMs = 5000
    t.same(await tries('set', upload(material)), [200, undefined])
    t.equal(store.domain(domain)?.status, 'configuring')
    now += 4999
    t.same(await tries('set', upload(material)), [403, 'ServiceBusy'])
    now += 1
    t.equal(store.domain(domain)?.status, 'online')
    t.same(await tries('set', upload(material)), [200, undefined])
    const live = store.domain(domain)
    if (live) live.status = 'offline'
    t.same(await tries('set', upload(material)), [400, 'InvalidDomain.Offline'], 'as an operator would')
  })

  t.test(`${product}: wildcard domains`, async (t) => {
    const { add, store, tries } = await open(t, product)
    add('.example.com')
    const wide = await mintMaterial({ names: ['*.example.com'] })
    t.same(await tries('set', upload(wide, { DomainName: '*.example.com' })), [404, 'InvalidDomain.NotFound'])
    t.same(await tries('set', upload(wide, { DomainName: '.example.com' })), [200, undefined])
    t.equal(store.serving('x.example.com')?.name, '.example.com')
    t.equal(store.serving(domain)?.name, domain)
    t.equal(store.serving('x.y.example.com'), undefined)
    t.throws(() => add('*.example.com'))
  })

  t.test(`${product}: the list of domains`, async (t) => {
    const { add, call, tries } = await open(t, product)
    add('.example.com', { certificate: material, status: 'offline' })
    for (let i = 0; i < 23; i += 1) add(`n${i}.example.org`, { origin: 'my-ssl-certs' })
    const list = async (form: Form) => {
      const { json } = await call('list', form)
      const page = at(json, 'Domains', 'PageData') as unknown as readonly JsonObject[]
      return { json, names: page.map(({ DomainName }) => DomainName), page }
    }
    const first = await list({})
    t.match(first.json, { PageNumber: 1, PageSize: 20, TotalCount: 25 })
    t.equal(first.names.length, 20)
    const second = await list({ PageNumber: '2' })
    t.equal(new Set([...first.names, ...second.names]).size, 25)
    t.same((await list({ PageNumber: '3' })).names, [])
    t.equal((await list({ PageSize: '500' })).names.length, 25)
    for (const size of ['501', '0']) t.match(await tries('list', { PageSize: size }), [400, /^InvalidPageSize/])
    t.match(await tries('list', { PageNumber: '0' }), [400, /^InvalidPageNumber/])

    const https = product === 'cdn' ? 'SslProtocol' : 'SSLProtocol'
    t.match(first.page[0], { DomainName: domain, DomainStatus: 'online', [https]: 'off', GmtCreated: /Z$/ })
    t.match(first.page[1], { DomainName: '.example.com', DomainStatus: 'offline', [https]: 'on' })
    t.match(at(first.page[2] ?? {}, 'Sources', 'Source', 0), {
      Type: 'oss',
      Content: 'my-ssl-certs.oss-cn-hangzhou.aliyuncs.com',
    })
    t.notOk((product === 'cdn' ? 'SSLProtocol' : 'SslProtocol') in (first.page[0] ?? {}))

    const named = async (form: Form) => (await list({ PageSize: '100', ...form })).names
    t.same(await named({ DomainName: 'example.com' }), [], 'an exact match unless told')
    t.same(await named({ DomainName: domain, DomainSearchType: 'full_match' }), [domain])
    t.same(await named({ DomainName: 'example.com', DomainSearchType: 'fuzzy_match' }), [domain, '.example.com'])
    t.same(await named({ DomainName: 'static', DomainSearchType: 'pre_match' }), [domain])
    t.equal((await named({ DomainName: '.org', DomainSearchType: 'suf_match' })).length, 23)
    t.same(await named({ DomainStatus: 'offline' }), ['.example.com'])
    t.match(await tries('list', { DomainSearchType: 'x' }), [400, /^InvalidDomainSearchType/])
  })

  t.test(`${product}: a domain in detail`, async (t) => {
    const { add, call, tries } = await open(t, product)
    const read = async () =>
      at(
        (await call('detail', { DomainName: domain })).json,
        product === 'cdn' ? 'GetDomainDetailModel' : 'DomainDetail',
      )
    const https = product === 'cdn' ? 'ServerCertificateStatus' : 'SSLProtocol'
    t.match(await read(), {
      DomainName: domain,
      DomainStatus: 'online',
      Cname: /^static\.example\.com\.w\./,
      [https]: 'off',
    })
    add(domain, { certificate: material, origin: 'my-ssl-certs', status: 'configuring' })
    const detail = await read()
    t.match(detail, { DomainStatus: 'configuring', [https]: 'on' })
    const source = product === 'cdn' ? at(detail, 'SourceModels', 'SourceModel', 0) : at(detail, 'Sources', 'Source', 0)
    t.match(source, { Type: 'oss', Enabled: 'online' })
    if (product === 'dcdn') t.equal(detail['SSLPub'], material.fullchain)
    t.same(await tries('detail', { DomainName: 'x.example.com' }), [404, 'InvalidDomain.NotFound'])
    t.same(await tries('info', { DomainName: 'x.example.com' }), [404, 'InvalidDomain.NotFound'])
  })

  t.test(`${product}: whether DNS leads here`, async (t) => {
    const { add, call, tries } = await open(t, product)
    add('away.example.com', { cnameStatus: 1 })
    add('slow.example.com', { cnameStatus: -1 })
    const { json } = await call('cname', { DomainName: `${domain},away.example.com,slow.example.com` })
    const data = at(json, 'CnameDatas', 'Data')
    t.match(data, [
      { Domain: domain, Status: 0, Cname: /^static\.example\.com\.w\.kunlun/ },
      { Domain: 'away.example.com', Status: 1, Cname: '' },
      { Domain: 'slow.example.com', Status: -1 },
    ])
    t.same(await tries('cname', { DomainName: 'x.example.com' }), [404, 'InvalidDomain.NotFound'])
    const many = (count: number) => Array.from({ length: count }, () => domain).join(',')
    t.same(await tries('cname', { DomainName: many(31) }), [400, 'DomainNameOverLimit'])
    t.same(await tries('cname', { DomainName: many(30) }), [200, undefined])
  })

  t.test(`${product}: the list of certificates`, async (t) => {
    const { add, call } = await open(t, product)
    const days = (count: number): Date => new Date(Date.now() + count * 86_400_000)
    const soon = await mintMaterial({ names: ['soon.example.com'], notAfter: days(20) })
    const late = await mintMaterial({ names: ['late.example.com'], notAfter: days(-1) })
    const wide = await mintMaterial({ names: ['*.example.com'] })
    add('fine.example.com', { certificate: wide })
    add('.example.com', { certificate: wide })
    add('soon.example.com', { certificate: soon })
    add('late.example.com', { certificate: late })
    add('wrong.example.org', { certificate: wide })
    add('off.example.com', { certificate: wide, https: false })
    const { json } = await call('https', { Keyword: 'example' })
    t.equal(json['TotalCount'], 5)
    const entries = at(json, 'CertInfos', 'CertInfo') as unknown as readonly JsonObject[]
    t.same(
      entries.map(({ CertStatus }) => CertStatus),
      ['ok', 'ok', 'expire_soon', 'expired', 'mismatch'],
    )
    t.match(entries[0], {
      DomainName: 'fine.example.com',
      CertCommonName: '*.example.com',
      CertExpireTime: wide.notAfter.toISOString().slice(0, 19).replace('T', ' '),
      CertType: 'upload',
    })
    t.equal((await call('https', { Keyword: 'soon' })).json['TotalCount'], 1)
  })
}

/** As JSON, the way the product wants it. */
const functions = (...all: (readonly [string, Form, Form?])[]): string =>
  JSON.stringify(
    all.map(([functionName, args, more]) => ({
      functionName,
      functionArgs: Object.entries(args).map(([argName, argValue]) => ({ argName, argValue })),
      ...more,
    })),
  )

for (const product of ['cdn', 'dcdn'] as const) {
  t.test(`${product}: functions`, async (t) => {
    const { emulator, store, add, call, tries } = await open(t, product)
    const set = (...all: Parameters<typeof functions>) =>
      tries('setConfigs', { DomainNames: domain, Functions: functions(...all) })
    const list = async (form: Form = {}) =>
      at((await call('configs', { DomainName: domain, ...form })).json, 'DomainConfigs', 'DomainConfig')
    const refused = (why: string): readonly [number, string] => [400, why]
    const malformed = refused('InvalidFunctions.Malformed')
    const business = refused('BatchSetBusinessError')
    add('b.example.com')
    t.same(await list(), [])

    const both = { DomainNames: `${domain},b.example.com`, Functions: functions(['gzip', { enable: 'on' }]) }
    const { json } = await call('setConfigs', both)
    const models = at(json, 'DomainConfigList', 'DomainConfigModel') as unknown as readonly JsonObject[]
    t.match(models, [{ DomainName: domain, FunctionName: 'gzip' }, { DomainName: 'b.example.com' }])
    t.type(models[0]?.['ConfigId'], 'number')
    t.match(emulator.requests.at(-1), { action: `${product}:${flavours[product].setConfigs}`, key: both.DomainNames })
    const id = String(models[0]?.['ConfigId'])
    const shown = { ConfigId: id, FunctionName: 'gzip', Status: 'success' }
    t.match(await list(), [{ ...shown, FunctionArgs: { FunctionArg: [{ ArgName: 'enable', ArgValue: 'on' }] } }])

    t.same(await set(['gzip', { enable: 'off' }]), [200, undefined], 'the one that is there is replaced')
    t.same(await set(['gzip', { enable: 'on' }, { parentId: '77' }]), [200, undefined], 'another one under a rule')
    t.same(await set(['brotli', { enable: 'on' }]), [200, undefined])
    const ids = (store.domain(domain)?.functions ?? []).map(({ id, name, parentId }) => [id === '', name, parentId])
    t.same(ids, [
      [false, 'gzip', undefined],
      [false, 'gzip', '77'],
      [false, 'brotli', undefined],
    ])
    t.equal(((await list({ FunctionNames: 'brotli,HSTS' })) as unknown as unknown[]).length, 1)
    t.match(await list({ ConfigId: id }), [shown])
    t.same(await set(['brotli', { enable: 'on', brotli_level: '5' }, { configId: id }]), business, 'the id of another')

    for (const wrong of [
      functions(['gzip', {}]),
      functions(['gzip', { enable: 'yes' }]),
      functions(['gzip', { enable: 'on', more: '1' }]),
      functions(['hsts', { enabled: 'on' }]),
      functions(['HSTS', { enable: 'on', https_hsts_max_age: '300' }]),
      functions(['gzip', { enable: 'on' }]).replace('"on"', 'true'),
      '[]',
      '[',
    ])
      t.same(await tries('setConfigs', { DomainNames: domain, Functions: wrong }), malformed, wrong)

    t.same(await set(['http_force', { enable: 'off' }]), [200, undefined])
    t.same(await set(['https_force', { enable: 'on' }]), business, 'the other one is there, though off')
    const off = store.domain(domain)?.functions.find(({ name }) => name === 'http_force')
    t.same(await tries('deleteConfig', { DomainName: domain, ConfigId: String(off?.id) }), [200, undefined])
    t.same(await tries('deleteConfig', { DomainName: domain, ConfigId: String(off?.id) }), [
      400,
      'InvalidConfigId.NotFound',
    ])
    t.same(await set(['https_force', { enable: 'on' }], ['http_force', { enable: 'off' }]), business, 'in one call')
    t.same(await set(['https_force', { enable: 'on', https_rewrite: '308' }]), [200, undefined])
    t.same(await set(['http_force', { enable: 'on' }]), business)

    t.same(await tries('deleteConfigs', { DomainNames: both.DomainNames, FunctionNames: 'gzip,https_force' }), [
      200,
      undefined,
    ])
    t.match(await list(), [{ FunctionName: 'brotli' }], 'those under rules as well')
    t.same(store.domain('b.example.com')?.functions, [])

    const many = (count: number) => Array.from({ length: count }, () => domain).join(',')
    const Functions = functions(['gzip', { enable: 'on' }])
    t.same(await tries('setConfigs', { DomainNames: many(51), Functions }), refused('DomainNameOverLimit'))
    t.same(await tries('setConfigs', { DomainNames: many(50), Functions }), [200, undefined])
    const missing = { DomainNames: `${domain},x.example.com`, Functions: functions(['gzip', { enable: 'off' }]) }
    t.same(await tries('setConfigs', missing), [404, 'InvalidDomain.NotFound'])
    t.equal(store.domain(domain)?.inForce('gzip')['enable'], 'on', 'nothing of it is done')
    t.same(await tries('configs', { DomainName: 'x.example.com' }), [404, 'InvalidDomain.NotFound'])

    store.configuringMs = 60_000
    t.same(await set(['gzip', { enable: 'off' }]), [200, undefined])
    t.match(await list({ FunctionNames: 'gzip' }), [{ Status: 'configuring' }])
    t.same(await set(['gzip', { enable: 'on' }]), [403, 'ServiceBusy'])
    t.same(await tries('deleteConfigs', { DomainNames: domain, FunctionNames: 'gzip' }), [403, 'ServiceBusy'])
    t.same(await tries('deleteConfig', { DomainName: domain, ConfigId: id }), [403, 'ServiceBusy'])
    t.same(await tries('set', upload(material)), [403, 'ServiceBusy'])
    emulator.addKey({ ...key, deny: [{ action: '*', resource: '*domain/b.example.com' }] })
    t.same(await tries('setConfigs', both), [403, 'Forbidden.RAM'], 'each domain needs the right')
  })
}

t.test('CDN and DCDN know nothing of each other', async (t) => {
  const { emulator, tries } = await open(t, 'cdn')
  emulator.addDcdnDomain('d.example.com')
  t.same(await tries('detail', { DomainName: 'd.example.com' }), [404, 'InvalidDomain.NotFound'])
  t.equal(emulator.dcdn.domain(domain), undefined)
})
