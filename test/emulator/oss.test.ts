import 'reflect-metadata'
import { createHash, webcrypto } from 'node:crypto'
import { request as httpsRequest } from 'node:https'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import * as x509 from '@peculiar/x509'
import OSS from 'ali-oss'
import t, { type Test } from 'tap'
import type { AccessKey } from './access-key.js'
import { crc64 } from './crc64.js'
import { type Emulator, type EmulatorOptions, startEmulator } from './emulator.js'
import { canonicalRequestV4, scopeText, signatureV4, stringToSignV4 } from './oss/signature-v4.js'
import { parseParameters } from './percent-encoding.js'
import { seededRandom } from './random.js'
import { type RawAnswer, type RawRequest, sendRaw, xmlText } from './send-raw.js'
import { sendSigned as sendSignedTo } from './send-signed.js'

const bucket = 'my-ssl-certs'
const host = `${bucket}.oss-cn-hangzhou.aliyuncs.com`
const fullAccess = [{ action: '*', resource: '*' }]
const key: AccessKey = { id: 'LTAI-tester', secret: 'not-a-secret', allow: fullAccess }

/** An emulator with one bucket and one key that may do all. */
const start = async (t: Test, options: EmulatorOptions = {}): Promise<Emulator> => {
  const emulator = await startEmulator(options)
  t.teardown(() => emulator.close())
  emulator.addBucket(bucket)
  emulator.addKey(key)
  return emulator
}

const client = (emulator: Emulator, options: Partial<OSS.Options> = {}): OSS =>
  new OSS({
    endpoint: emulator.url,
    region: 'oss-cn-hangzhou',
    bucket,
    accessKeyId: key.id,
    accessKeySecret: key.secret,
    authorizationV4: true,
    secure: false,
    timeout: 5000,
    ...options,
  })

/** The type definitions of ali-oss lack it. */
const versioningOf = async (oss: OSS): Promise<string | undefined> => {
  const untyped = oss as unknown as { getBucketVersioning(bucket: string): Promise<{ versionStatus?: string }> }
  return (await untyped.getBucketVersioning('open-bucket')).versionStatus
}

const text = (body: string): Buffer => Buffer.from(body)

/** What ali-oss throws, without the request that it carries. */
const refusal = async (promise: Promise<unknown>): Promise<{ code: string; status: number; name: string }> => {
  try {
    await promise
  } catch (error) {
    const { code, status, name } = error as { code: string; status: number; name: string }
    return { code, status, name }
  }
  throw new Error('was not refused')
}

/** A request signed by hand with version 1, so that anything can be wrong with it. */
const sendSigned = (
  emulator: Emulator,
  { target = '/', ...rest }: Partial<RawRequest>,
  by: Pick<AccessKey, 'id' | 'secret'> = key,
): Promise<RawAnswer> => sendSignedTo(emulator.port, bucket, { target, ...rest }, by)

/** The same with version 4, on a GET of `/`. Of the `claimed` additional headers none is signed. */
const sendSignedV4 = (
  emulator: Emulator,
  signedHeaders: Readonly<Record<string, string>>,
  { query = '', claimed = [] }: { query?: string; claimed?: readonly string[] } = {},
): Promise<RawAnswer> => {
  const timestamp = new Date().toISOString().replace(/\.\d+|[-:]/g, '')
  const scope = { date: timestamp.slice(0, 8), region: 'cn-hangzhou', product: 'oss' }
  const headers = { ...signedHeaders, 'x-oss-date': timestamp }
  const parts = { method: 'GET', bucket, key: '', parameters: parseParameters(query), headers }
  const canonical = canonicalRequestV4(parts, [], signedHeaders['x-oss-content-sha256'] ?? '')
  const signature = signatureV4(key.secret, scope, stringToSignV4(timestamp, scope, canonical))
  const list = claimed.length === 0 ? '' : ` AdditionalHeaders=${claimed.join(';')},`
  const authorization = `OSS4-HMAC-SHA256 Credential=${key.id}/${scopeText(scope)},${list} Signature=${signature}`
  return sendRaw(emulator.port, { target: `/?${query}`, host, headers: { ...headers, Authorization: authorization } })
}

const put = (emulator: Emulator, headers: Readonly<Record<string, string>>, target = '/a.pem'): Promise<RawAnswer> =>
  sendSigned(emulator, { method: 'PUT', target, headers, body: 'pem' })

for (const authorizationV4 of [false, true])
  t.test(`ali-oss with version ${authorizationV4 ? 4 : 1}`, async (t) => {
    const emulator = await start(t)
    const oss = client(emulator, { authorizationV4 })
    const name = 'certs/例え/a b+c~(1)!.pem'

    t.test('put, head, get, delete', async (t) => {
      const headers = { 'Content-Type': 'application/x-pem-file', 'Cache-Control': 'no-cache' }
      const stored = await oss.put(name, text('hello world'), {
        headers,
        meta: { archive: '2026-01-02_0a1b2c3d' } as never,
      })
      t.match(stored.res.headers, {
        etag: '"5EB63BBBE01EEED093CB22BB8F5ACDC3"',
        'content-md5': 'XrY7u+Ae7tCTyyK7j1rNww==',
        'x-oss-hash-crc64ecma': '5981764153023615706',
        'x-oss-request-id': /^[0-9A-F]{24}$/,
        server: 'AliyunOSS',
      })
      const head = await oss.head(name)
      t.equal((head.meta as Record<string, string>)['archive'], '2026-01-02_0a1b2c3d')
      t.match((head.res as { headers: object }).headers, {
        'content-length': '11',
        'content-type': 'application/x-pem-file',
        'cache-control': 'no-cache',
        'x-oss-object-type': 'Normal',
        'x-oss-storage-class': 'Standard',
      })
      t.equal((await oss.get(name)).content.toString(), 'hello world')
      t.match(emulator.objects(bucket).get(name), { acl: 'default', versions: 1, versionId: undefined })
      t.equal((await oss.delete(name)).res.status, 204)
      t.equal((await oss.delete(name)).res.status, 204, 'also when it is gone')
      t.match(await refusal(oss.get(name)), { code: 'NoSuchKey', status: 404 })
      t.match(await refusal(oss.head(name)), { code: 'NoSuchKey', status: 404 })
      t.equal(emulator.objects(bucket).size, 0)
    })

    t.test('metadata that is not ASCII', async (t) => {
      const utf8 = client(emulator, { authorizationV4, headerEncoding: 'latin1' } as object)
      await utf8.put(name, text('x'), { meta: { city: '杭州' } as never })
      t.equal(emulator.objects(bucket).get(name)?.meta['city'], '杭州')
      const meta = (await utf8.head(name)).meta as Record<string, string>
      t.equal(Buffer.from(meta['city'] ?? '', 'latin1').toString('utf8'), '杭州')
      await oss.delete(name)
    })

    t.test('empty bodies and streams', async (t) => {
      await oss.put('chain.pem', text(''))
      t.equal(emulator.requests.at(-1)?.headers['content-length'], '0')
      t.equal((await oss.get('chain.pem')).content.length, 0)
      await oss.putStream('stream.pem', Readable.from([text('in '), text('pieces')]))
      t.equal(emulator.objects(bucket).get('stream.pem')?.body.toString(), 'in pieces')
    })

    t.test('listing in pages', async (t) => {
      const keys = ['certs/a/1.pem', 'certs/a/2.pem', 'certs/b.pem', 'certs/é&<.pem', 'other.pem']
      for (const key of keys) emulator.putObject(bucket, key, key)
      const list = async (query: object) => oss.listV2(query as OSS.ListV2ObjectsQuery)
      const flat = await list({ prefix: 'certs/' })
      t.same(
        flat.objects.map(({ name, size }) => [name, size]),
        keys.slice(0, 4).map((key) => [key, Buffer.byteLength(key)]),
      )
      const folders = await list({ prefix: 'certs/', delimiter: '/' })
      t.same([folders.prefixes, folders.keyCount], [['certs/a/'], 3] as never)
      const first = await list({ prefix: 'certs/', 'max-keys': '3' })
      t.equal(first.isTruncated, true)
      const second = await list({ prefix: 'certs/', 'continuation-token': first.nextContinuationToken })
      t.same(
        second.objects.map(({ name }) => name),
        ['certs/é&<.pem'],
      )
      const whole = await list({ prefix: 'certs/', 'max-keys': '4' })
      t.same([whole.isTruncated, whole.nextContinuationToken], [false, null])
      const after = await list({ 'start-after': 'certs/é&<.pem', 'encoding-type': 'url' })
      t.same(
        after.objects.map(({ name }) => name),
        ['chain.pem', 'other.pem', 'stream.pem'],
      )
    })

    t.test('what a bucket says of itself', async (t) => {
      const settings = emulator.addBucket('open-bucket', { acl: 'public-read', region: 'oss-cn-shanghai' })
      const shanghai = client(emulator, { authorizationV4, region: 'oss-cn-shanghai', bucket: 'open-bucket' })
      t.equal((await shanghai.getBucketACL('open-bucket')).acl, 'public-read')
      t.equal((await shanghai.getBucketLocation('open-bucket')).location, 'oss-cn-shanghai')
      t.match((await shanghai.getBucketInfo('open-bucket')).bucket, {
        Name: 'open-bucket',
        Location: 'oss-cn-shanghai',
        ExtranetEndpoint: 'oss-cn-shanghai.aliyuncs.com',
        AccessControlList: { Grant: 'public-read' },
      })
      t.notOk(await versioningOf(shanghai))
      settings.versioning = 'Suspended'
      t.equal(await versioningOf(shanghai), 'Suspended')
    })
  })

t.test('forbid-overwrite holds only while versioning was never on', async (t) => {
  const emulator = await start(t)
  const oss = client(emulator)
  const once = { headers: { 'x-oss-forbid-overwrite': 'true' } }
  await oss.put('a.pem', text('1'), once)
  t.match(await refusal(oss.put('a.pem', text('2'), once)), { code: 'FileAlreadyExists', status: 409 })
  t.equal(emulator.objects(bucket).get('a.pem')?.body.toString(), '1')

  emulator.addBucket('versioned', { versioning: 'Enabled' })
  const versioned = client(emulator, { bucket: 'versioned' })
  const first = await versioned.put('a.pem', text('1'), once)
  const second = await versioned.put('a.pem', text('2'), once)
  const ids = [first, second].map(({ res }) => (res.headers as Record<string, string>)['x-oss-version-id'])
  t.ok(ids[0] && ids[1] && ids[0] !== ids[1])
  t.match(emulator.objects('versioned').get('a.pem'), { versions: 2, versionId: ids[1] })
  t.equal((await versioned.get('a.pem', { versionId: ids[1] } as never)).content.toString(), '2')

  emulator.addBucket('versioned', { versioning: 'Suspended' })
  for (const body of ['1', '2']) await versioned.put('a.pem', text(body), once)
  t.match(emulator.objects('versioned').get('a.pem'), { versions: 1, versionId: 'null', etag: /^C81E728D/ })
})

t.test('what PutObject refuses', async (t) => {
  const emulator = await start(t)
  const cases: readonly [string, number, Readonly<Record<string, string>>, string?][] = [
    ['InvalidDigest', 400, { 'Content-MD5': 'XrY7u+Ae7tCTyyK7j1rNww==' }],
    ['InvalidDigest', 400, { 'Content-MD5': 'nonsense' }],
    ['InvalidArgument', 400, { 'x-oss-object-acl': 'secret' }],
    ['InvalidArgument', 400, { 'x-oss-forbid-overwrite': 'yes' }],
    ['InvalidArgument', 400, { 'x-oss-meta-long': 'x'.repeat(9000) }],
    ['InvalidArgument', 400, { 'x-oss-meta-a_b': 'x' }],
    ['InvalidEncryptionAlgorithmError', 400, { 'x-oss-server-side-encryption': 'ROT13' }],
    ['NotImplemented', 400, { 'If-Modified-Since': 'Mon, 21 Sep 2026 14:13:20 GMT' }],
    ['NotImplemented', 400, { 'x-oss-copy-source': '/other/a.pem' }],
    ['NotImplemented', 400, {}, '/a.pem?acl'],
    ['InvalidObjectName', 400, {}, '/%5Ca.pem'],
    ['InvalidObjectName', 400, {}, `/${'k'.repeat(1024)}`],
    ['NoSuchBucket', 404, {}],
  ]
  for (const [code, status, headers, target] of cases) {
    if (code === 'NoSuchBucket') {
      const absent = client(emulator, { bucket: 'absent' })
      t.match(await refusal(absent.put('a.pem', text('x'))), { code, status })
    } else t.match(await put(emulator, headers, target), { code, status }, `${code} ${Object.keys(headers)} ${target}`)
  }
  t.match(await sendSigned(emulator, { method: 'PUT', target: '/a.pem' }), {
    code: 'MissingContentLength',
    status: 411,
  })
  t.match(await sendRaw(emulator.port, { target: '/%zz', host }), { code: 'InvalidObjectName', status: 400 })
  t.equal(emulator.objects(bucket).size, 0)

  t.equal((await put(emulator, { 'x-oss-object-acl': 'private', 'x-oss-server-side-encryption': 'SM4' })).status, 200)
  t.match(emulator.objects(bucket).get('a.pem'), { acl: 'private', sse: 'SM4' })
  const head = await sendSigned(emulator, { method: 'HEAD', target: '/a.pem' })
  t.equal(head.headers['x-oss-server-side-encryption'], 'SM4')
})

t.test('conditions, ranges and overrides on reading', async (t) => {
  const emulator = await start(t)
  const { etag } = emulator.putObject(bucket, 'a.pem', 'hello world')
  const get = (headers: Readonly<Record<string, string>>, target = '/a.pem') =>
    sendSigned(emulator, { target, headers })
  const unchanged = await get({ 'If-None-Match': `"${etag.toLowerCase()}"` })
  t.same([unchanged.status, unchanged.body], [304, ''])
  t.match(await get({ 'If-None-Match': '"0"' }), { status: 200, body: 'hello world' })
  t.match(await get({ 'If-Match': '"0"' }), { status: 412, code: 'PreconditionFailed' })
  t.match(await get({ 'If-Modified-Since': new Date(Date.now() + 1000).toUTCString() }), { status: 304 })
  t.match(await get({ 'If-Unmodified-Since': 'Mon, 21 Sep 2020 14:13:20 GMT' }), { status: 412 })
  const part = await get({ Range: 'bytes=6-8' })
  t.match(part, { status: 206, body: 'wor', headers: { 'content-range': 'bytes 6-8/11', 'content-length': '3' } })
  t.match(await get({ Range: 'bytes=-5' }), { status: 206, body: 'world' })
  t.match(await get({ Range: 'bytes=99-' }), { status: 200, body: 'hello world' })
  const typed = await get({}, '/a.pem?response-content-type=text/plain')
  t.match(typed, { status: 200, headers: { 'content-type': 'text/plain' } })
  t.match(await get({}, '/a.pem?versionId=other'), { status: 404, code: 'NoSuchVersion' })
})

t.test('the form of an error', async (t) => {
  const emulator = await start(t)
  const got = await sendSigned(emulator, { target: '/none.pem' })
  t.match(got.headers, {
    'content-type': 'application/xml',
    'x-oss-ec': '0026-00000001',
    'x-oss-request-id': emulator.requests[0]?.requestId,
  })
  t.equal(xmlText('Key', got.body), 'none.pem')
  t.equal(xmlText('HostId', got.body), host)
  t.equal(xmlText('RecommendDoc', got.body), 'https://api.aliyun.com/troubleshoot?q=0026-00000001')
  t.match(emulator.requests[0], {
    answer: { status: 404, code: 'NoSuchKey' },
    action: 'oss:GetObject',
    key: 'none.pem',
  })
  const head = await sendSigned(emulator, { method: 'HEAD', target: '/none.pem' })
  t.match(head, { status: 404, code: 'NoSuchKey', headers: { 'x-oss-ec': '0026-00000001' } })
  t.equal(head.body, '')
  t.match(await sendSigned(emulator, { method: 'POST', target: '/?cname&comp=purge', body: '' }), {
    code: 'NotImplemented',
  })
  t.match(await sendSigned(emulator, { target: '/?policyStatus' }), { body: /<IsPublic>false</ })
  t.match(await sendSigned(emulator, { target: '/?list-type=2&max-keys=0' }), { code: 'InvalidArgument' })
})

t.test('how a bucket is addressed', async (t) => {
  const emulator = await start(t)
  emulator.putObject(bucket, 'open.txt', 'x', { 'x-oss-object-acl': 'public-read' })
  emulator.bindCname('Static.example.com', bucket)
  const at = (host: string, target = '/open.txt') => sendRaw(emulator.port, { host, target })
  const reached = [
    host,
    `${bucket}.oss-cn-hangzhou-internal.aliyuncs.com`,
    `${bucket}.cn-hangzhou.oss.aliyuncs.com`,
    `${bucket}.localhost:${emulator.port}`,
    `${bucket}.privatelink.example`,
    `static.example.com:${emulator.port}`,
  ]
  for (const host of reached) t.match(await at(host), { status: 200, body: 'x' }, host)

  const wrong = await at(`${bucket}.oss-cn-beijing.aliyuncs.com`)
  t.match(wrong, { status: 403, code: 'AccessDenied', headers: { 'x-oss-ec': '0003-00001403' } })
  t.equal(xmlText('Endpoint', wrong.body), 'oss-cn-hangzhou.aliyuncs.com')
  const fast = `${bucket}.oss-accelerate.aliyuncs.com`
  t.match(await at(fast), { status: 403, code: 'TransferAccelerationDisabled' })
  emulator.addBucket('fast', { accelerate: true, acl: 'public-read' })
  emulator.putObject('fast', 'open.txt', 'y')
  t.match(await at('fast.oss-accelerate-overseas.aliyuncs.com'), { status: 200, body: 'y' })

  const byPath = `/${bucket}/open.txt`
  for (const host of [`127.0.0.1:${emulator.port}`, `localhost:${emulator.port}`, 'oss-cn-hangzhou.aliyuncs.com'])
    t.match(await at(host, byPath), { status: 403, code: 'SecondLevelDomainForbidden' }, host)
  t.match(await at('nobody.example.com'), { status: 403, code: 'NonStandardHostForbidden' })
  t.match(await at('nobody.oss-cn-hangzhou.aliyuncs.com'), { status: 404, code: 'NoSuchBucket' })

  const lenient = await start(t, { pathStyle: true })
  lenient.putObject(bucket, 'open.txt', 'x', { 'X-OSS-Object-ACL': 'public-read' })
  t.match(await sendRaw(lenient.port, { host: '127.0.0.1', target: byPath }), { status: 200, body: 'x' })
  const vendor = await sendRaw(lenient.port, { host: 'oss-cn-hangzhou.aliyuncs.com', target: byPath })
  t.equal(vendor.code, 'SecondLevelDomainForbidden')

  const named = client(emulator, { endpoint: `http://localhost:${emulator.port}`, cname: true })
  emulator.bindCname('localhost', bucket)
  t.equal((await named.get('open.txt')).content.toString(), 'x', 'ali-oss through a bound domain')
})

t.test('a mainland account of after 2025-03-20', async (t) => {
  const emulator = await start(t)
  emulator.addBucket(bucket, { publicEndpointForbidden: true })
  emulator.bindCname('localhost', bucket)
  const oss = client(emulator)
  const forbidden = { code: 'PublicEndpointForbidden', status: 400 }
  t.match(await refusal(oss.put('a.pem', text('x'))), forbidden)
  t.match(await refusal(oss.listV2({} as never)), forbidden)
  t.match(await refusal(oss.head('a.pem')), forbidden)
  t.equal(emulator.requests.at(-1)?.answer?.code, forbidden.code)
  t.equal((await oss.getBucketACL(bucket)).acl, 'private', 'bucket configuration works')
  await client(emulator, { internal: true }).put('a.pem', text('x'))
  await client(emulator, { endpoint: `http://localhost:${emulator.port}`, cname: true }).put('b.pem', text('x'))
  t.same([...emulator.objects(bucket).keys()], ['a.pem', 'b.pem'])
})

t.test('everybody reads only what is public', async (t) => {
  const emulator = await start(t)
  const settings = emulator.addBucket(bucket)
  emulator.putObject(bucket, 'plain', 'x')
  emulator.putObject(bucket, 'shown', 'x', { 'x-oss-object-acl': 'public-read' })
  emulator.putObject(bucket, 'hidden', 'x', { 'x-oss-object-acl': 'private' })
  const read = async () => {
    const answers = ['/plain', '/shown', '/hidden', '/missing', '/?list-type=2'].map(async (target) => {
      const { status } = await sendRaw(emulator.port, { host, target })
      return status
    })
    return Promise.all(answers)
  }
  t.same(await read(), [403, 200, 403, 403, 403])
  settings.acl = 'public-read'
  t.same(await read(), [200, 200, 403, 404, 403])
  settings.acl = 'private'
  settings.policyPublic = true
  t.same(await read(), [200, 200, 403, 404, 403])
  const write = await sendRaw(emulator.port, { method: 'PUT', host, target: '/new', body: 'x' })
  t.match(write, { status: 403, code: 'AccessDenied' })
  const head = await sendRaw(emulator.port, { method: 'HEAD', host, target: '/hidden' })
  t.match(head, { status: 403, code: 'AccessDenied' })
})

t.test('whom the emulator believes', async (t) => {
  let skew = 0
  const emulator = await start(t, { now: () => new Date(Date.now() + skew) })
  emulator.addKey({ id: 'STS.1', secret: 's1', token: 'token-1', allow: fullAccess })
  emulator.addKey({ id: 'STS.2', secret: 's2', token: 'token-2', allow: fullAccess })
  emulator.addKey({ id: 'STS.3', secret: 's3', token: 'token-3', allow: fullAccess, expired: true })
  // Without these ali-oss prints a recommendation.
  const session = (stsToken: string) => ({
    stsToken,
    refreshSTSToken: async () => ({ accessKeyId: '', accessKeySecret: '', stsToken }),
    refreshSTSTokenInterval: 3_600_000,
  })
  const as = (accessKeyId: string, accessKeySecret: string, stsToken = '', more: Partial<OSS.Options> = {}) =>
    client(emulator, { accessKeyId, accessKeySecret, ...(stsToken ? session(stsToken) : {}), ...more })
  const tries = async (oss: OSS) => refusal(oss.put('a.pem', text('x')))

  for (const authorizationV4 of [false, true]) {
    const v = { authorizationV4 }
    await as('STS.1', 's1', 'token-1', v).put('a.pem', text('x'))
    t.match(await tries(as('nobody', 's', '', v)), { code: 'InvalidAccessKeyId', status: 403 })
    t.match(await tries(as(key.id, 'wrong', '', v)), { code: 'SignatureDoesNotMatch', status: 403 })
    t.match(await tries(as('STS.1', 's1', '', v)), { code: 'InvalidSecurityToken', status: 403 })
    t.match(await tries(as('STS.1', 's1', 'made-up', v)), { code: 'InvalidSecurityToken' })
    t.match(await tries(as('STS.1', 's1', 'token-2', v)), { code: 'AccessKeyIdAndSecurityTokenNotMatch' })
    t.match(await tries(as('STS.3', 's3', 'token-3', v)), { code: 'SecurityTokenExpired', status: 403 })
    for (const minutes of [-16, 16]) {
      skew = minutes * 60_000
      t.match(await tries(as(key.id, key.secret, '', v)), { code: 'RequestTimeTooSkewed', status: 403 })
    }
    skew = 14 * 60_000
    await as(key.id, key.secret, '', v).put('a.pem', text('x'))
    skew = 0
  }
  const elsewhere = as(key.id, key.secret, '', {
    region: 'oss-cn-beijing',
    endpoint: `http://localhost:${emulator.port}`,
    cname: true,
  })
  emulator.bindCname('localhost', bucket)
  t.match(await tries(elsewhere), { code: 'InvalidArgument', status: 400 }, 'the region of a version 4 scope counts')

  const scoped = (scope: string) => `OSS4-HMAC-SHA256 Credential=${key.id}/20260101/${scope},Signature=0`
  const claims = [
    scoped('cn-hangzhou/ecs/aliyun_v4_request'),
    scoped('cn-beijing/oss/aliyun_v4_request'),
    scoped('cn-hangzhou/oss/aws4_request'),
    'OSS',
    'OSS nobody',
    'Bearer x',
    'OSS4-HMAC-SHA256 Credential=a/b,Signature=c',
    'OSS4-HMAC-SHA256 x',
  ]
  for (const Authorization of claims) {
    const answer = await sendRaw(emulator.port, { host, target: '/', headers: { Authorization } })
    t.match(answer, { status: 400, code: 'InvalidArgument' }, Authorization)
  }
  const undated = { Authorization: `OSS ${key.id}:x` }
  for (const date of [{}, { Date: new Date().toISOString() }, { 'x-oss-date': 'today' }]) {
    const answer = await sendRaw(emulator.port, { host, target: '/', headers: { ...undated, ...date } })
    t.match(answer, { status: 403, code: 'AccessDenied' }, 'a version 1 date is of RFC 1123')
  }

  const empty = createHash('sha256').update('').digest('hex')
  const query = 'list-type=2&prefix=a+b'
  for (const hash of ['UNSIGNED-PAYLOAD', empty])
    t.equal((await sendSignedV4(emulator, { 'x-oss-content-sha256': hash }, { query })).status, 200, hash)
  t.equal(emulator.requests.at(-1)?.query['prefix'], 'a b', 'a plus is a blank')
  for (const hash of [{ 'x-oss-content-sha256': empty.replace(/^e/, 'f') }, {} as Record<string, string>])
    t.match(await sendSignedV4(emulator, hash, { query }), { status: 400, code: 'InvalidArgument' })
  const unsigned = { 'x-oss-content-sha256': 'UNSIGNED-PAYLOAD' }
  const absent = await sendSignedV4(emulator, unsigned, { query, claimed: ['x-absent', 'x-oss-date'] })
  t.equal(absent.status, 200, 'an additional header that was not sent does not count')

  const repeated = await sendSigned(emulator, {
    method: 'PUT',
    target: '/a.pem',
    headers: { 'x-oss-meta-list': ['1', '2'] },
    body: 'x',
  })
  t.equal(repeated.status, 200)
  t.equal(emulator.objects(bucket).get('a.pem')?.meta['list'], '1,2')

  emulator.removeKey(key.id)
  t.match(await tries(client(emulator)), { code: 'InvalidAccessKeyId' })
})

t.test('signed URLs', async (t) => {
  let skew = 0
  const emulator = await start(t, { now: () => new Date(Date.now() + skew) })
  emulator.addKey({ id: 'STS.1', secret: 's1', token: 'token-1', allow: fullAccess })
  emulator.putObject(bucket, 'a b.pem', 'x')
  const open = async (url: string, host: string) =>
    sendRaw(emulator.port, { host, target: url.slice(url.indexOf('/', 'http://'.length)) })
  const named = { endpoint: 'http://oss-cn-hangzhou.aliyuncs.com' }
  const urls = [
    client(emulator, named).signatureUrl('a b.pem', { expires: 600, response: { 'content-type': 'text/css' } }),
    await client(emulator, named).signatureUrlV4(
      'GET',
      600,
      { queries: { 'response-content-type': 'text/css' } },
      'a b.pem',
    ),
  ]
  for (const url of urls) {
    t.match(await open(url, host), { status: 200, body: 'x', headers: { 'content-type': 'text/css' } }, url)
    t.match(await open(url.replace('a%20b', 'a%20c'), host), { status: 403, code: 'SignatureDoesNotMatch' })
    skew = 601_000
    t.match(await open(url, host), { status: 403, code: 'AccessDenied', body: /Request has expired/ })
    skew = 0
  }
  const [v1 = '', v4 = ''] = urls
  t.match(await open(v1.replace(/Expires=\d+/, 'Expires=soon'), host), { status: 400, code: 'InvalidArgument' })
  t.match(await open(v4.replace('x-oss-expires=600', 'x-oss-expires=604801'), host), { code: 'InvalidArgument' })
  skew = -16 * 60_000
  t.match(await open(v4, host), { status: 403, code: 'RequestTimeTooSkewed' }, 'from the future')
  skew = 0
  t.match(await open(v4.replace(/x-oss-date=\w+/, 'x-oss-date=now'), host), { status: 403, code: 'AccessDenied' })
})

t.test('permissions', async (t) => {
  const emulator = await start(t)
  emulator.putObject(bucket, 'certs/example.com/old', 'x')
  emulator.putObject(bucket, 'elsewhere', 'x')
  const allow = [{ action: 'oss:PutObject', resource: `acs:oss:*:*:${bucket}/certs/example.com/*` }]
  const writer = client(emulator, { accessKeyId: 'writer', accessKeySecret: 'w' })
  const grant = (more: Partial<AccessKey> = {}) => emulator.addKey({ id: 'writer', secret: 'w', allow, ...more })
  const acl = { headers: { 'x-oss-object-acl': 'private' } }
  const inside = 'certs/example.com/latest/cert.pem'
  const denied = { code: 'AccessDenied', status: 403 }

  grant()
  await writer.put(inside, text('x'))
  t.match(await refusal(writer.put('certs/example.org/cert.pem', text('x'))), denied)
  t.match(await refusal(writer.get(inside)), denied)
  t.match(await refusal(writer.head(inside)), denied)
  t.match(await refusal(writer.listV2({} as never)), denied)
  t.match(await refusal(writer.getBucketInfo(bucket)), denied)
  t.match(await refusal(writer.put(inside, text('x'), acl)), denied, 'the ACL header asks for more')
  const answer = await sendSigned(emulator, { target: '/certs/example.com/old' }, { id: 'writer', secret: 'w' })
  t.match(answer.headers, { 'x-oss-ec': '0003-00000001' })
  t.match(answer.body, '<NoPermissionType>ImplicitDeny</NoPermissionType><AuthAction>oss:GetObject</AuthAction>')

  grant({ aclHeaderNeedsNothing: true })
  await writer.put(inside, text('x'), acl)
  grant({ allow: [...allow, { action: 'oss:PutObject*', resource: '*' }] })
  await writer.put('anywhere', text('x'), acl)
  t.equal(emulator.objects(bucket).get('anywhere')?.acl, 'private')
  grant({ allow: fullAccess, deny: [{ action: ['oss:Get*'], resource: [`${bucket}/elsewhere`] }] })
  emulator.putObject(bucket, 'elsewhere', 'x', { 'x-oss-object-acl': 'public-read' })
  await writer.get(inside)
  t.match(await refusal(writer.get('elsewhere')), denied, 'a Deny wins, even over a public object')

  const reader = [{ action: 'oss:GetObject', resource: `${bucket}/*` }]
  grant({ allow: reader })
  t.match(await refusal(writer.head('missing')), { code: 'NoSuchKey', status: 404 })
  grant({ allow: reader, hideMissing: true })
  t.match(await refusal(writer.head('missing')), denied)
  t.match(await refusal(writer.get('missing')), denied)
  grant({ allow: [...reader, { action: 'oss:ListObjects', resource: bucket }], hideMissing: true })
  t.match(await refusal(writer.head('missing')), { code: 'NoSuchKey', status: 404 })
})

t.test('faults', async (t) => {
  const emulator = await start(t)
  const oss = client(emulator, { timeout: 300 })
  const codes = async (count: number) => {
    const seen: string[] = []
    for (let i = 0; i < count; i += 1)
      seen.push(
        await oss.put(`k${i}`, text('x')).then(
          () => 'ok',
          ({ code }) => code,
        ),
      )
    return seen.join(' ')
  }
  const busy = { status: 503, code: 'ServiceUnavailable' }

  t.test('strike the requests that the condition names', async (t) => {
    const second = emulator.fail({ action: 'oss:PutObject', nth: [2, 4] }, busy)
    t.equal(await codes(5), 'ok ServiceUnavailable ok ServiceUnavailable ok')
    t.equal(second.hits, 2)
    second.remove()
    const from = emulator.fail({ from: 3, bucket }, busy)
    t.equal(await codes(4), 'ok ok ServiceUnavailable ServiceUnavailable')
    from.remove()
    const every = emulator.fail({ every: 2, method: 'PUT', key: /^k[0-3]$/ }, busy)
    t.equal(await codes(5), 'ok ServiceUnavailable ok ServiceUnavailable ok')
    every.remove()
    const others = [
      emulator.fail({ key: 'k9' }, busy),
      emulator.fail({ bucket: 'b' }, busy),
      emulator.fail({ method: 'GET' }, busy),
      emulator.fail({ action: 'oss:Get*' }, busy),
    ]
    t.equal(await codes(2), 'ok ok')
    for (const other of others) {
      t.equal(other.hits, 0)
      other.remove()
    }
    const draw = async (seed: number) => {
      const random = emulator.fail({ probability: 0.5, seed }, busy)
      const seen = await codes(12)
      random.remove()
      return seen
    }
    const drawn = await draw(7)
    t.equal(await draw(7), drawn, 'the same seed, the same fate')
    t.not(await draw(8), drawn)
    t.match(drawn, /ok.*ServiceUnavailable|ServiceUnavailable.*ok/)
  })

  t.test('answer with an error', async (t) => {
    const slow = emulator.fail(
      {},
      { status: 503, code: 'UploadTrafficRateLimitExceeded', headers: { 'Retry-After': '3' } },
    )
    const answer = await put(emulator, {})
    t.match(answer, { status: 503, code: 'UploadTrafficRateLimitExceeded', headers: { 'retry-after': '3' } })
    t.equal(xmlText('Message', answer.body), 'Please reduce your upload request traffic.')
    const head = await sendSigned(emulator, { method: 'HEAD', target: '/a' })
    t.same([head.status, head.body, head.code], [503, '', 'UploadTrafficRateLimitExceeded'])
    t.match(emulator.requests.at(-1), { fault: '503 UploadTrafficRateLimitExceeded', answer: { status: 503 } })
    slow.remove()
    const page = emulator.fail({}, { html: 502 })
    t.match(await put(emulator, {}), { status: 502, body: /<h1>502/, headers: { 'content-type': 'text/html' } })
    page.remove()
  })

  t.test('lose the connection', async (t) => {
    const before = emulator.fail({ key: 'never' }, { reset: 'before' })
    t.match(await refusal(oss.put('never', text('x'))), { status: -1 })
    t.notOk(emulator.objects(bucket).has('never'))
    before.remove()
    const after = emulator.fail({ key: 'done' }, { reset: 'after' })
    t.match(await refusal(oss.put('done', text('x'))), { status: -1 })
    t.ok(emulator.objects(bucket).has('done'), 'carried out, only the answer was lost')
    t.match(emulator.requests.at(-1), { fault: 'reset after', answer: undefined })
    after.remove()
    const hang = emulator.fail({ key: 'hung' }, { hang: true })
    t.match(await refusal(oss.put('hung', text('x'))), { name: 'ResponseTimeoutError' })
    t.notOk(emulator.objects(bucket).has('hung'))
    hang.remove()
    emulator.putObject(bucket, 'long', 'x'.repeat(1000))
    const cut = emulator.fail({ method: 'GET' }, { cutBody: true })
    await t.rejects(sendSigned(emulator, { target: '/long' }), { code: 'ECONNRESET' })
    await t.rejects(oss.get('long'))
    cut.remove()
    const empty = emulator.fail({ method: 'PUT' }, { cutBody: true })
    await t.rejects(put(emulator, {}), { code: 'ECONNRESET' })
    empty.remove()
    t.equal((await oss.get('long')).content.length, 1000)
  })

  t.test('come late', async (t) => {
    const timed = async () => {
      const start = performance.now()
      await oss.put('late', text('x'))
      return performance.now() - start
    }
    const delays = [1, 2].map(() => emulator.fail({ key: 'late' }, { delayMs: 60 }))
    t.ok((await timed()) > 115, 'delays add up')
    const late = emulator.fail({ key: 'late' }, busy)
    t.match(await refusal(oss.put('late', text('x'))), { code: 'ServiceUnavailable' })
    for (const rule of [...delays, late]) rule.remove()
    emulator.latency(50)
    t.ok((await timed()) > 45)
    emulator.latency(0)
  })
})

t.test('the journal, the connections and the end', async (t) => {
  const emulator = await start(t)
  const oss = client(emulator)
  await oss.put('certs/a/cert.pem', text('abc'))
  await oss.get('certs/a/cert.pem')
  await oss.listV2({ prefix: 'certs/' } as never)
  const [first, , third] = emulator.requests
  t.match(first, {
    method: 'PUT',
    host,
    path: '/certs/a/cert.pem',
    bucket,
    key: 'certs/a/cert.pem',
    accessKeyId: key.id,
    secure: false,
    headers: { 'content-length': '3' },
    answer: { status: 200, code: undefined },
  })
  t.equal(first?.body.toString(), 'abc')
  t.match(third, { action: 'oss:ListObjects', key: undefined, query: { 'list-type': '2', prefix: 'certs/' } })
  t.equal(emulator.connections, 1, 'kept alive')
  emulator.putObject(bucket, 'certs/b.pem', 'x'.repeat(2000))
  t.equal(
    emulator.tree(bucket),
    `oss://my-ssl-certs/
  certs/
    a/
      cert.pem          3
    b.pem            2000
`,
  )

  emulator.fail({ key: 'hung' }, { hang: true })
  emulator.fail({ key: 'slow' }, { delayMs: 60_000 })
  const hung = [oss.get('hung'), oss.put('slow', text('x'))].map((promise) => refusal(promise))
  while (emulator.requests.length < 5) await pause(5)
  await emulator.close()
  t.match(await Promise.all(hung), [{ status: -1 }, { status: -1 }])
  t.notOk(emulator.objects(bucket).has('slow'), 'what was waiting is not carried out any more')
  t.match(await refusal(client(emulator).get('x')), { code: 'RequestError' }, 'nobody listens any more')
})

const selfSigned = async (): Promise<{ readonly certificate: string; readonly privateKey: string }> => {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const extensions = [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: host }])]
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    { name: 'CN=emulator', keys, signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' }, extensions },
    webcrypto as never,
  )
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const privateKey = `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`
  return { certificate: certificate.toString('pem'), privateKey }
}

t.test('over TLS', async (t) => {
  const { certificate, privateKey } = await selfSigned()
  const emulator = await start(t, { tls: { cert: certificate, key: privateKey } })
  t.match(emulator.url, /^https:/)
  emulator.putObject(bucket, 'open.txt', 'x', { 'x-oss-object-acl': 'public-read' })
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const options = { port: emulator.port, host: '127.0.0.1', servername: host, ca: certificate, agent: false as const }
    httpsRequest({ ...options, path: '/open.txt', headers: { Host: host } }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })
  t.equal(status, 200)
  t.equal(emulator.requests[0]?.secure, true)
})

t.test('numbers', async (t) => {
  const digits = text('123456789')
  t.same(
    [crc64(digits), crc64(text('')), crc64(text('hello world'))],
    ['11051210869376104954', '0', '5981764153023615706'],
  )
  const draws = (seed: number) => Array.from({ length: 1000 }, seededRandom(seed))
  t.same(draws(3), draws(3))
  const mean = draws(3).reduce((sum, value) => sum + value, 0) / 1000
  t.ok(mean > 0.45 && mean < 0.55)
})
