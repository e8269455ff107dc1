import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { mintMaterial } from '../deploy-world.js'
import type { AccessKey } from './access-key.js'
import { callPop, type PopAnswer, type PopRequest } from './call-pop.js'
import { type Emulator, type EmulatorOptions, startEmulator } from './emulator.js'
import { type Parameter, percentEncode } from './percent-encoding.js'
import { canonicalRequestAcs3, sha256Hex, signatureAcs3, stringToSignAcs3 } from './pop/signature-acs3.js'
import { signatureRpc, stringToSignRpc } from './pop/signature-rpc.js'
import { type RawRequest, sendRaw, xmlText } from './send-raw.js'

interface Vector {
  readonly id: string
  readonly scheme: string
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly method: string
  readonly path?: string
  readonly query?: Readonly<Record<string, string>>
  readonly params?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly canonicalRequest?: string
  readonly stringToSign: string
  readonly signature: string
  readonly authorization?: string
}

const file = readFileSync('test/fixtures/vectors/signing-vectors.json', 'utf8')
const vectors = (JSON.parse(file) as { readonly vectors: readonly Vector[] }).vectors
const acs3 = vectors.filter(({ scheme }) => scheme === 'acs3')
const rpc = vectors.filter(({ scheme }) => scheme === 'rpc-v1')

const encoded = (parameters: readonly Parameter[]): string =>
  parameters.map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`).join('&')

t.test('the vectors, computed', async (t) => {
  t.match([acs3.length, rpc.length], [2, 2], 'all of them')
  for (const { id, method, path = '', query = {}, headers = {}, body = '', ...vector } of acs3) {
    const parts = { method, path, parameters: Object.entries(query), headers, body }
    const signed = /SignedHeaders=([^,]+)/.exec(vector.authorization ?? '')?.[1]?.split(';') ?? []
    const canonical = canonicalRequestAcs3(parts, signed.toReversed())
    t.equal(canonical, vector.canonicalRequest, id)
    t.equal(stringToSignAcs3(canonical), vector.stringToSign)
    t.equal(signatureAcs3(vector.accessKeySecret, vector.stringToSign), vector.signature)
  }
  for (const { id, method, params = {}, stringToSign, accessKeySecret, signature } of rpc) {
    t.equal(stringToSignRpc(method, Object.entries(params).toReversed()), stringToSign, id)
    t.equal(signatureRpc(accessKeySecret, stringToSign), signature)
  }
})

const sentBy = (vector: Vector): RawRequest & { headers: Record<string, string> } => {
  const { method, headers: { host = 'cdn.aliyuncs.com', ...headers } = {} } = vector
  if (vector.scheme === 'acs3') {
    const query = encoded(Object.entries(vector.query ?? {}))
    const authorized = { ...headers, Authorization: vector.authorization ?? '' }
    return { method, target: query ? `/?${query}` : '/', host, headers: authorized, body: vector.body }
  }
  const parameters = encoded([...Object.entries(vector.params ?? {}), ['Signature', vector.signature]])
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  return method === 'GET'
    ? { method, target: `/?${parameters}`, host: 'ecs.aliyuncs.com', headers: {} }
    : { method, target: '/', host, headers: form, body: parameters }
}

/** The products of the vendor's own examples are not built, so those two end before their signature is looked at. */
t.test('the vectors of our own calls, over the wire', async (t) => {
  for (const vector of [...acs3, ...rpc].filter(({ id }) => id.startsWith('our-')))
    t.test(vector.id, async (t) => {
      const time = new Date(vector.headers?.['x-acs-date'] ?? vector.params?.['Timestamp'] ?? '')
      const emulator = await startEmulator({ now: () => time })
      t.teardown(() => emulator.close())
      const token = vector.headers?.['x-acs-security-token']
      const key = { id: vector.accessKeyId, secret: vector.accessKeySecret, token }
      emulator.addKey({ ...key, allow: [{ action: 'cdn:*', resource: '*' }] })
      const sent = sentBy(vector)
      const send = async (request: RawRequest): Promise<string> => {
        emulator.addKey({ ...key, allow: [{ action: 'cdn:*', resource: '*' }] })
        const { body } = await sendRaw(emulator.port, request)
        return (JSON.parse(body) as { Code: string }).Code
      }

      const changes: RawRequest[] = [
        { ...sent, target: `${sent.target}?OwnerId=1` },
        { ...sent, body: String(sent.body).replace('cdn.example.com', 'cdm.example.com') },
        { ...sent, body: `${sent.body}&More=1` },
      ]
      if (vector.scheme === 'acs3')
        for (const name of ['x-acs-signature-nonce', 'x-acs-accesskey-id', 'host'])
          changes.push(
            name === 'host'
              ? { ...sent, host: 'cdn.ap-southeast-1.aliyuncs.com' }
              : { ...sent, headers: { ...sent.headers, [name]: `${sent.headers[name]}x` } },
          )
      for (const change of changes) t.equal(await send(change), 'SignatureDoesNotMatch', 'what is signed is signed')
      t.equal(await send(sent), 'InvalidDomain.NotFound', 'the signature is good, the domain is nobody’s')
      t.equal(await send(sent), 'SignatureNonceUsed', 'but not twice')
      t.equal(emulator.requests[0]?.accessKeyId, vector.accessKeyId)
      t.equal(emulator.requests[0]?.action, 'cdn:SetCdnDomainSSLCertificate')
      t.equal(emulator.requests[0]?.key, 'cdn.example.com')
    })
})

const domain = 'static.example.com'
const key: AccessKey = { id: 'LTAI-tester', secret: 'not-a-secret', allow: [{ action: '*', resource: '*' }] }

const start = async (t: Test, options: EmulatorOptions = {}): Promise<Emulator> => {
  const emulator = await startEmulator(options)
  t.teardown(() => emulator.close())
  emulator.addKey(key)
  emulator.addCdnDomain(domain)
  return emulator
}

const detail: PopRequest = { product: 'cdn', action: 'DescribeCdnDomainDetail', form: { DomainName: domain } }

const coded = async (answer: Promise<PopAnswer>): Promise<readonly [number, string | undefined]> => {
  const { status, json } = await answer
  return [status, json.Code]
}

for (const scheme of ['acs3', 'rpc'] as const)
  t.test(`who may call: ${scheme}`, async (t) => {
    const emulator = await start(t)
    const call = (more: Partial<PopRequest> = {}, by: Pick<AccessKey, 'id' | 'secret' | 'token'> = key) =>
      coded(callPop(emulator.port, { ...detail, scheme, ...more }, by))
    t.same(await call(), [200, undefined])
    t.same(await call({ form: {}, query: { DomainName: domain } }), [200, undefined], 'in the query')
    t.same(await call({ method: 'GET', form: {}, query: { DomainName: domain } }), [200, undefined], 'by GET')
    t.same(await call({}, { ...key, id: 'nobody' }), [404, 'InvalidAccessKeyId.NotFound'])
    t.same(await call({}, { ...key, secret: 'another' }), [400, 'SignatureDoesNotMatch'])
    t.same(await call({}, { ...key, token: 'x' }), [400, 'InvalidSecurityToken.Malformed'])

    const session = { id: 'STS.1', secret: 's', token: 'CAIS1', allow: key.allow }
    emulator.addKey(session)
    emulator.addKey({ ...session, id: 'STS.2', token: 'CAIS2' })
    t.same(await call({}, session), [200, undefined])
    t.same(await call({}, { ...session, token: undefined }), [400, 'MissingSecurityToken'])
    t.same(await call({}, { ...session, token: 'CAIS2' }), [400, 'InvalidSecurityToken.MismatchWithAccessKey'])
    emulator.addKey({ ...session, expired: true })
    t.same(await call({}, session), [400, 'InvalidSecurityToken.Expired'])

    const minutes = (count: number): Date => new Date(Date.now() + count * 60_000)
    for (const late of [-14, 14]) t.same(await call({ time: minutes(late) }), [200, undefined])
    for (const late of [-16, 16]) t.same(await call({ time: minutes(late) }), [400, 'InvalidTimeStamp.Expired'])

    t.same(await call({ nonce: 'once' }), [200, undefined])
    t.same(await call({ nonce: 'once' }), [400, 'SignatureNonceUsed'])
    t.same(await call({ nonce: 'twice' }, { ...key, secret: 'x' }), [400, 'SignatureDoesNotMatch'])
    t.same(await call({ nonce: 'twice' }), [200, undefined], 'a stranger uses up no nonce')
  })

t.test('what a version 3 request must have', async (t) => {
  const emulator = await start(t)
  const call = (more: Partial<PopRequest>) => coded(callPop(emulator.port, { ...detail, ...more }, key))
  for (const name of ['x-acs-date', 'x-acs-signature-nonce', 'x-acs-content-sha256'])
    t.same(await call({ headers: { [name]: undefined } }), [400, 'IncompleteSignature'], name)
  t.same(await call({ headers: { 'x-acs-date': '20260101T000000Z' } }), [400, 'InvalidTimeStamp.Format'])
  const other = { 'x-acs-content-sha256': sha256Hex('another body') }
  t.same(await call({ headers: other }), [400, 'SignatureDoesNotMatch'], 'the hash is that of the body')
  t.same(await call({ body: 'DomainName=example.org' }), [400, 'SignatureDoesNotMatch'])
  t.same(
    await call({ headers: { 'content-type': 'text/plain' } }),
    [400, 'MissingDomainName'],
    'no form, no parameters',
  )
  const bare = await sendRaw(emulator.port, {
    host: 'cdn.aliyuncs.com',
    target: '/',
    headers: { 'x-acs-action': detail.action, 'x-acs-version': '2018-05-10' },
  })
  t.match(JSON.parse(bare.body), { Code: 'IncompleteSignature' })
})

t.test('the form of an answer', async (t) => {
  const emulator = await start(t)
  const good = await callPop(emulator.port, detail, key)
  t.match(good.json, { RequestId: /^[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}$/ })
  t.equal(good.json['RequestId'], emulator.requests.at(-1)?.requestId)
  t.match(good.headers, {
    'content-type': 'application/json;charset=utf-8',
    'x-acs-request-id': good.json['RequestId'],
  })
  const bad = await callPop(
    emulator.port,
    { ...detail, form: { DomainName: 'a.example.org' }, host: 'cdn.aliyuncs.com' },
    key,
  )
  t.match(bad.json, {
    RequestId: /./,
    HostId: 'cdn.aliyuncs.com',
    Code: 'InvalidDomain.NotFound',
    Message: 'The domain provided does not belong to you.',
    Recommend: /^https:\/\/api\.aliyun\.com\/troubleshoot\?q=InvalidDomain\.NotFound&product=cdn&requestId=/,
  })
  t.match(emulator.requests.at(-1)?.answer, { status: 404, code: 'InvalidDomain.NotFound' })

  const asXml = { ...detail, scheme: 'rpc', query: { Format: 'XML' } } as const
  const { body, headers } = await callPop(emulator.port, asXml, key)
  t.match(headers['content-type'], /^text\/xml/)
  t.match(body, /<DescribeCdnDomainDetailResponse><RequestId>[^<]+<\/RequestId><GetDomainDetailModel>/)
  t.match(body, /<SourceModels><SourceModel>.*<\/SourceModel><\/SourceModels>/)
  const refused = await callPop(emulator.port, { ...asXml, form: { DomainName: 'a.example.org' } }, key)
  t.equal(xmlText('Code', refused.body), 'InvalidDomain.NotFound')
})

t.test('which calls there are', async (t) => {
  const emulator = await start(t)
  const call = (more: Partial<PopRequest>) => coded(callPop(emulator.port, { ...detail, ...more }, key))
  t.same(await call({ action: 'DescribeCdnService' }), [404, 'InvalidApi.NotFound'])
  t.equal(emulator.requests.at(-1)?.action, undefined)
  t.same(await call({ headers: { 'x-acs-version': '2014-11-11' } }), [400, 'NoSuchVersion'])
  t.same(await call({ host: 'dcdn.aliyuncs.com' }), [400, 'NoSuchVersion'], 'the host of another product')
  t.same(await call({ host: 'cdn.ap-southeast-1.aliyuncs.com' }), [200, undefined])
  t.same(await call({ method: 'PUT' }), [400, 'UnsupportedHTTPMethod'])
  const onlyGet = {
    product: 'dcdn',
    action: 'DescribeDcdnDomainCname',
    form: {},
    query: { DomainName: domain },
  } as const
  t.same(await call(onlyGet), [400, 'UnsupportedHTTPMethod'], 'the metadata has no POST')
  t.same(await call({ ...onlyGet, method: 'GET' }), [404, 'InvalidDomain.NotFound'])
})

t.test('parameters are held against the metadata', async (t) => {
  const emulator = await start(t)
  const call = async (form: Readonly<Record<string, string>>, action = 'DescribeUserDomains', query = {}) => {
    const { status, json } = await callPop(emulator.port, { product: 'cdn', action, form, query }, key)
    return [status, json.Code, json.Message]
  }
  t.match(await call({}, 'DescribeCdnDomainDetail'), [
    400,
    'MissingDomainName',
    'DomainName is mandatory for this action.',
  ])
  t.match(await call({ DomainName: '' }, 'DescribeCdnDomainDetail'), [400, 'MissingDomainName'])
  t.match(await call({ PageSize: 'many' }), [400, 'InvalidParameter', /PageSize is no Integer/])
  t.match(await call({ PageSize: '1.5' }), [400, 'InvalidParameter', /Integer/])
  t.match(await call({ CheckDomainShow: 'yes' }), [400, 'InvalidParameter', /Boolean/])
  t.match(await call({ Pagesize: '1' }), [400, 'InvalidParameter', /no parameter Pagesize/])
  t.match(await call({ PageSize: '1' }, undefined, { PageSize: '2' }), [400, 'InvalidParameter', /twice/])
  t.match(await call({ PageSize: '1', RegionId: 'cn-hangzhou' }), [200])
  t.match(await call({ 'Tag.1.Key': 'a' }), [400, 'NotImplemented'], 'a list is known, but not built')
})

t.test('permissions', async (t) => {
  const emulator = await start(t)
  emulator.addCdnDomain('other.example.com')
  const as = (allow: AccessKey['allow'], more: Partial<PopRequest> = {}, deny: AccessKey['deny'] = []) => {
    emulator.addKey({ ...key, allow, deny })
    return coded(callPop(emulator.port, { ...detail, ...more }, key))
  }
  const action = 'cdn:DescribeCdnDomainDetail'
  const resource = `acs:cdn:*:1000000000000000:domain/${domain}`
  const refused = [403, 'Forbidden.RAM']
  t.same(await as([{ action, resource }]), [200, undefined])
  t.same(await as([{ action, resource }], { form: { DomainName: 'other.example.com' } }), refused)
  t.same(await as([{ action: 'cdn:DescribeUserDomains', resource }]), refused)
  t.same(await as([{ action, resource: '*' }], {}, [{ action: 'cdn:*', resource: 'domain/static*' }]), refused)
  t.same(await as([], { form: { DomainName: 'nobody.example.org' } }), refused, 'before a word about what there is')
  const list = { action: 'DescribeUserDomains', form: {} }
  t.same(await as([{ action: 'cdn:DescribeUserDomains', resource }], list), refused, 'a list is of all')
  t.same(await as([{ action: 'cdn:DescribeUserDomains', resource: 'acs:cdn:*:*:domain/*' }], list), [200, undefined])

  emulator.addKey({ ...key, allow: [] })
  const { json } = await callPop(emulator.port, detail, key)
  t.match(json, {
    Message: /^User not authorized to operate on the specified resource/,
    AccessDeniedDetail: { AuthAction: action, AuthPrincipalType: 'SubUser', NoPermissionType: 'ImplicitDeny' },
  })
})

t.test('faults are dressed as JSON, and name the domain', async (t) => {
  const emulator = await start(t)
  emulator.addCdnDomain('other.example.com')
  const when = { action: 'cdn:DescribeCdnDomainDetail', key: domain, nth: 2 }
  const rule = emulator.fail(when, { status: 503, code: 'ServiceUnavailable', headers: { 'x-acs-retry-after': '40' } })
  const call = (form: Readonly<Record<string, string>>, more: Partial<PopRequest> = {}) =>
    callPop(emulator.port, { ...detail, form, ...more }, key)
  t.equal((await call({ DomainName: domain })).status, 200)
  t.equal((await call({ DomainName: 'other.example.com' })).status, 200)
  const struck = await call({ DomainName: domain }, { nonce: 'struck' })
  t.match(struck, { status: 503, headers: { 'x-acs-retry-after': '40' } })
  t.match(struck.json, { Code: 'ServiceUnavailable', Message: /temporary failure/, RequestId: /./, HostId: /./ })
  t.equal(rule.hits, 1)
  t.match(emulator.requests.at(-1), { fault: '503 ServiceUnavailable', answer: { status: 503 } })
  t.equal((await call({ DomainName: domain }, { nonce: 'struck' })).json.Code, 'SignatureNonceUsed', 'sign again')
  emulator.fail({ action: 'cdn:*' }, { reset: 'after' })
  await t.rejects(call({ DomainName: domain }))
  const after = await startEmulator()
  t.teardown(() => after.close())
  after.addKey(key)
  after.latency(80)
  const began = performance.now()
  await callPop(after.port, detail, key)
  t.ok(performance.now() - began >= 75, 'latency applies')
})

t.test('flow control, and how busy a second was', async (t) => {
  let now = Date.now()
  const emulator = await start(t, { now: () => new Date(now) })
  const call = () => coded(callPop(emulator.port, { ...detail, time: new Date(now) }, key))
  const burst = async (count: number) =>
    (await Promise.all(Array.from({ length: count }, call))).filter(([status]) => status === 200).length
  t.equal(await burst(5), 5, 'no limit unless told')
  now += 1000
  emulator.cdn.callsPerSecond = 3
  t.equal(await burst(3), 3)
  t.same(await call(), [400, 'Throttling.User'])
  now += 999
  t.same(await call(), [400, 'Throttling.User'])
  now += 1
  t.equal(await burst(6), 3)
  t.equal(emulator.busiestSecond('cdn:DescribeCdnDomainDetail'), 7, 'refused ones count')
  t.equal(emulator.busiestSecond('cdn:DescribeUserDomains'), 0)
  t.equal(emulator.busiestSecond('cdn:*'), 7, 'all of a product')
  emulator.cdn.callsPerSecond = { SetCdnDomainSSLCertificate: 1 }
  t.equal(await burst(9), 9, 'a limit may be for one operation alone')
})

t.test('the journal knows what stood in a URL', async (t) => {
  const emulator = await start(t)
  const { key: pem, fullchain } = await mintMaterial({ names: [domain] })
  const set = { SSLProtocol: 'on', CertName: 'a', SSLPub: fullchain, SSLPri: pem }
  const call = (form: Readonly<Record<string, string>>, query: Readonly<Record<string, string>>) =>
    callPop(emulator.port, { product: 'cdn', action: 'SetCdnDomainSSLCertificate', form, query }, key)
  t.equal((await call(set, { DomainName: domain })).status, 200)
  const clean = emulator.requests.at(-1)
  t.equal(clean?.target, `/?DomainName=${domain}`)
  t.match(
    clean?.parameters.find(({ name }) => name === 'SSLPri'),
    { value: pem, position: 'body' },
  )
  t.match(
    clean?.parameters.find(({ name }) => name === 'DomainName'),
    { position: 'query' },
  )
  t.notOk(clean?.target.includes('PRIVATE'))

  t.equal((await call({}, { ...set, DomainName: domain })).status, 200, 'as the vendor’s SDK sends it')
  const leaky = emulator.requests.at(-1)
  t.match(leaky?.target, /SSLPri=-----BEGIN%20PRIVATE%20KEY/)
  t.match(
    leaky?.parameters.find(({ name }) => name === 'SSLPri'),
    { value: pem, position: 'query' },
  )
})
