import t, { type Test } from 'tap'
import type { AccessKey } from './access-key.js'
import { type Emulator, startEmulator } from './emulator.js'
import type { Bucket } from './oss/bucket.js'
import { sendRaw } from './send-raw.js'
import { sendSigned } from './send-signed.js'

const bucket = 'my-site'
const host = 'static.example.com'
const key: AccessKey = { id: 'LTAI-tester', secret: 'not-a-secret', allow: [{ action: '*', resource: '*' }] }

const start = async (t: Test): Promise<{ emulator: Emulator; site: Bucket }> => {
  const emulator = await startEmulator()
  t.teardown(() => emulator.close())
  emulator.addKey(key)
  return { emulator, site: emulator.addBucket(bucket, { acl: 'public-read' }) }
}

const send = async (emulator: Emulator, method: string, target: string, body?: string, by = key) => {
  const answer = await sendSigned(emulator.port, bucket, { method, target, body }, by)
  return [answer.status, answer.code ?? answer.body]
}

const configuration = (inner: string): string => `<HttpsConfiguration>${inner}</HttpsConfiguration>`
const tls = (enable: boolean, ...versions: string[]): string =>
  `<TLS><Enable>${enable}</Enable>${versions.map((one) => `<TLSVersion>${one}</TLSVersion>`).join('')}</TLS>`
const suite = '<CipherSuite><Enable>true</Enable><StrongCipherSuite>true</StrongCipherSuite></CipherSuite>'

t.test('HTTPS configuration', async (t) => {
  const { emulator } = await start(t)
  const put = (body: string, by = key) => send(emulator, 'PUT', '/?httpsConfig', body, by)
  t.same(await send(emulator, 'GET', '/?httpsConfig'), [404, 'NoSuchHttpsConfig'])
  const whole = configuration(`${suite}\n  ${tls(true, 'TLSv1.2', 'TLSv1.3')}`)
  t.same(await put(whole), [200, ''])
  t.same(await send(emulator, 'GET', '/?httpsConfig'), [200, whole])
  const bad = ['', configuration(suite), configuration(tls(true)), configuration(tls(true, 'TLSv1.4'))]
  for (const body of [...bad, `<Https>${tls(false)}</Https>`, configuration(`${tls(false)}<Other/>`)])
    t.same(await put(body), [400, 'MalformedXML'], body)
  t.same(await put(configuration(tls(false))), [200, ''])
  t.same(await send(emulator, 'GET', '/?httpsConfig'), [200, configuration(tls(false))], 'nothing of the old one stays')

  for (const [action, may] of [
    ['oss:PutTLSVersion', [200, 403]],
    ['oss:PutBucketHttpsConfig', [200, 403]],
    ['oss:GetTLSVersion', [403, 200]],
    ['oss:GetBucketHttpsConfig', [403, 200]],
  ] as const) {
    const user = { ...key, id: 'LTAI-user', allow: [{ action, resource: bucket }] }
    emulator.addKey(user)
    const [changed] = await put(configuration(tls(false)), user)
    const [read] = await send(emulator, 'GET', '/?httpsConfig', undefined, user)
    t.same([changed, read], may, action)
  }
})

const denial = {
  Effect: 'Deny',
  Principal: ['*'],
  Action: ['oss:*'],
  Resource: [`acs:oss:*:*:${bucket}`, `acs:oss:*:*:${bucket}/*`],
  Condition: { Bool: { 'acs:SecureTransport': ['false'] } },
}
const policyOf = (...statements: readonly object[]): string =>
  `${JSON.stringify({ Version: '1', Statement: statements }, null, 3)}\n`

t.test('policy', async (t) => {
  const { emulator } = await start(t)
  const put = (body: string) => send(emulator, 'PUT', '/?policy', body)
  const isPublic = async () => /true/.test(String((await send(emulator, 'GET', '/?policyStatus'))[1]))
  t.same(await send(emulator, 'GET', '/?policy'), [404, 'NoSuchBucketPolicy'])
  t.same(await send(emulator, 'DELETE', '/?policy'), [204, ''])
  t.same(await put(policyOf(denial)), [200, ''])
  t.same(await send(emulator, 'GET', '/?policy'), [200, policyOf(denial)], 'to the byte')
  t.notOk(await isPublic())
  const { Principal: _, ...nobody } = denial
  const bad = ['', '{', '[]', 'null', policyOf(), policyOf(nobody), policyOf({ ...denial, Effect: 'No' })]
  for (const body of [...bad, policyOf({ ...denial, Sid: 'x'.repeat(16384) })])
    t.same(await put(body), [400, 'InvalidPolicyDocument'], body.slice(0, 50))
  t.same(await put(policyOf({ ...denial, Effect: 'Allow', Condition: undefined })), [200, ''])
  t.ok(await isPublic())
  t.same(await send(emulator, 'DELETE', '/?policy'), [204, ''])
  t.notOk(await isPublic())
})

t.test('what a policy denies', async (t) => {
  const { emulator, site } = await start(t)
  emulator.putObject(bucket, 'open', 'for all')
  emulator.bindCname(host, bucket)
  emulator.addCdnDomain('cdn.example.com', { origin: bucket })
  const plain = await emulator.startPlainEdge()
  const byPlain = async (host: string) => (await sendRaw(plain.port, { host, target: '/open' })).status
  const both = async () => [await byPlain(host), (await sendRaw(emulator.port, { host, target: '/open' })).status]
  t.same(await both(), [200, 200])
  site.policy = policyOf(denial)
  t.same(await both(), [403, 200])
  t.equal(await byPlain('cdn.example.com'), 403, 'of CDN, too')
  for (const other of [
    { Principal: ['123'] },
    { Action: 'oss:PutObject' },
    { Resource: `acs:oss:*:*:${bucket}/other/*` },
    { Condition: { Bool: denial.Condition.Bool, IpAddress: { 'acs:SourceIp': ['10.0.0.0/8'] } } },
    { Effect: 'Allow' },
  ]) {
    site.policy = policyOf({ ...denial, ...other })
    t.same(await both(), [200, 200], JSON.stringify(other))
  }
  site.policy = policyOf({ ...denial, Condition: undefined })
  t.same(await both(), [403, 403])
  site.policy = 'anything'
  t.same(await both(), [200, 200])
})
