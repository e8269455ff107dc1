import t, { type Test } from 'tap'
import { mintMaterial } from '../deploy-world.js'
import type { AccessKey } from './access-key.js'
import { callPop, type PopAnswer } from './call-pop.js'
import { type Emulator, startEmulator } from './emulator.js'
import type { JsonObject } from './json.js'

const key: AccessKey = { id: 'LTAI-tester', secret: 'not-a-secret', allow: [{ action: '*', resource: '*' }] }

const material = await mintMaterial({ names: ['static.example.com', '*.example.org'] })
const other = await mintMaterial({ names: ['b.example.com'], key: 'rsa2048' })
const days = (count: number): Date => new Date(Date.now() + count * 86_400_000)

type Form = Readonly<Record<string, string>>

const start = async (t: Test): Promise<Emulator> => {
  const emulator = await startEmulator()
  t.teardown(() => emulator.close())
  emulator.addKey(key)
  return emulator
}

const call = (emulator: Emulator, action: string, form: Form = {}): Promise<PopAnswer> =>
  callPop(emulator.port, { product: 'cas', action, form }, key)

const tries = async (emulator: Emulator, action: string, form: Form = {}): Promise<readonly unknown[]> => {
  const { status, json } = await call(emulator, action, form)
  return [status, json.Code]
}

const upload = { Name: 'acme-oss-0a1b_C', Cert: material.fullchain, Key: material.key }

const sha1 = material.x509.fingerprint.replaceAll(':', '')
const sha256 = material.x509.fingerprint256.replaceAll(':', '')

t.test('an upload', async (t) => {
  const emulator = await start(t)
  const { json } = await call(emulator, 'UploadUserCertificate', upload)
  t.match(json, { CertId: Number, ResourceId: /^cas-upload-/, RequestId: /./ })
  t.match(emulator.cas.certificates, [
    { id: json['CertId'], identifier: `${json['CertId']}-cn-hangzhou`, name: upload.Name, key: material.key },
  ])
  t.equal(emulator.cas.certificates[0]?.fingerprint, sha1)
  t.equal(emulator.requests[0]?.action, 'yundun-cert:UploadUserCertificate')

  const bad = async (form: Form, code: string) =>
    t.same(await tries(emulator, 'UploadUserCertificate', { ...upload, Name: 'another', ...form }), [400, code])
  await bad({ Name: upload.Name }, 'NameRepeat')
  await bad({ Name: '' }, 'MissingName')
  await bad({ Cert: '' }, 'MissingCert')
  await bad({ Key: '' }, 'MissingKey')
  for (const Name of ['a'.repeat(65), '*.example.com', 'a b', '名']) await bad({ Name }, 'InvalidName')
  await bad({ Cert: 'x' }, 'CertificateFormatError')
  await bad({ Key: 'x' }, 'PrivateKeyFormatError')
  await bad({ Key: other.key }, 'CertificateKeyNotMatch')
  await bad({ SignCert: 'x' }, 'NotImplemented')
  t.equal(emulator.cas.certificates.length, 1)
  t.same(await tries(emulator, 'UploadUserCertificate', { ...upload, Name: 'a'.repeat(64) }), [200, undefined])

  t.match((await call(emulator, 'GetCertWarehouseQuota')).json, { TotalQuota: 5000, UseCount: 2 })
  emulator.cas.quota = 2
  await bad({}, 'QuotaExceeded')
})

t.test('a list', async (t) => {
  const emulator = await start(t)
  const soon = await mintMaterial({ names: ['soon.example.com'], notAfter: days(20) })
  const late = await mintMaterial({ names: ['late.example.com'], notAfter: days(-1) })
  const first = emulator.cas.add({ ...material, name: 'first' })
  emulator.cas.add({ ...other, name: 'second' })
  emulator.cas.add({ ...soon, name: 'soon' })
  emulator.cas.add({ ...late, name: 'late' })
  const list = async (form: Form) => {
    const { json } = await call(emulator, 'ListUserCertificateOrder', form)
    const entries = json['CertificateOrderList'] as readonly JsonObject[]
    return { json, entries, names: entries.map(({ Name }) => Name) }
  }
  t.match((await list({})).json, { TotalCount: 0, CurrentPage: 1, ShowSize: 50 }, 'orders, unless told')
  t.same((await list({ OrderType: 'BUY' })).names, [])
  const { entries, names } = await list({ OrderType: 'UPLOAD' })
  t.same(names, ['first', 'second', 'soon'], 'none that has run out, unless told')
  t.match(entries[0], {
    CertificateId: first.id,
    CommonName: 'static.example.com',
    Sans: 'static.example.com,*.example.org',
    Fingerprint: sha1,
    Sha2: sha256,
    SerialNo: material.x509.serialNumber.toLowerCase(),
    StartDate: material.notBefore.toISOString().slice(0, 10),
    EndDate: material.notAfter.toISOString().slice(0, 10),
    Expired: false,
    Upload: true,
    Status: 'ISSUED',
    Algorithm: 'ECC',
    Issuer: 'Test Intermediate CA',
    InstanceId: first.instanceId,
  })
  t.match(entries[1], { Algorithm: 'RSA' })
  t.match(entries[2], { Status: 'WILLEXPIRED' })
  t.notMatch(JSON.stringify(entries), 'PRIVATE KEY')
  t.same((await list({ OrderType: 'CERT' })).names, names)
  const gone = await list({ OrderType: 'CERT', Status: 'EXPIRED' })
  t.match(gone.entries, [{ Name: 'late', Expired: true }])
  t.same((await list({ OrderType: 'CERT', Status: 'ISSUED' })).names, ['first', 'second'])
  t.same((await list({ OrderType: 'CERT', Keyword: 'example.org' })).names, ['first'])
  t.same((await list({ OrderType: 'CERT', Keyword: first.instanceId })).names, ['first'])
  t.same((await list({ OrderType: 'CERT', Keyword: 'second' })).names, [], 'a name is no keyword')

  const page = await list({ OrderType: 'CERT', ShowSize: '2', CurrentPage: '2' })
  t.match(page, { json: { TotalCount: 3, CurrentPage: 2, ShowSize: 2 }, names: ['soon'] })
  t.same(await tries(emulator, 'ListUserCertificateOrder', { CurrentPage: '0' }), [400, 'InvalidParameter'])
  t.same(await tries(emulator, 'ListUserCertificateOrder', { OrderType: 'x' }), [400, 'InvalidParameter'])

  emulator.cas.callsPerSecond = { ListUserCertificateOrder: 10 }
  const codes = await Promise.all(Array.from({ length: 12 }, () => tries(emulator, 'ListUserCertificateOrder')))
  t.ok(codes.filter(([status]) => status === 400).length >= 2, 'ten a second')
  t.ok(codes.some(([, code]) => code === 'Throttling.User'))
  t.same(await tries(emulator, 'GetCertWarehouseQuota'), [200, undefined], 'the others have no such limit')
})

t.test('one in detail', async (t) => {
  const emulator = await start(t)
  const { id } = emulator.cas.add({ ...material, id: 19_580_016, name: 'first' })
  const detail = async (form: Form) => (await call(emulator, 'GetUserCertificateDetail', form)).json
  const CertId = String(id)
  const filtered = await detail({ CertId, CertFilter: 'true' })
  t.match(filtered, {
    Id: 19_580_016,
    CertIdentifier: '19580016-cn-hangzhou',
    Name: 'first',
    Common: 'static.example.com',
    Fingerprint: sha1,
    Sha2: sha256,
    NotBefore: material.notBefore.getTime(),
    NotAfter: material.notAfter.getTime(),
    Expired: false,
    BuyInAliyun: false,
    CertChain: [{ NotBefore: material.notBefore.getTime(), NotAfter: material.notAfter.getTime() }],
  })
  t.notOk('Key' in filtered || 'Cert' in filtered)
  for (const form of [{ CertId }, { CertId, CertFilter: 'false' }])
    t.match(await detail(form), { Key: material.key, Cert: material.fullchain }, 'without the filter it shows the key')
  t.match(await tries(emulator, 'GetUserCertificateDetail', { CertId: '1' }), [404, /^NotFound/])
  t.same(await tries(emulator, 'GetUserCertificateDetail', { CertId: `${id}-cn-hangzhou` }), [400, 'InvalidParameter'])
  t.same(await tries(emulator, 'GetUserCertificateDetail'), [400, 'MissingCertId'])

  t.same(await tries(emulator, 'DeleteUserCertificate', { CertId }), [200, undefined])
  t.same(emulator.cas.certificates, [])
  t.match(await tries(emulator, 'DeleteUserCertificate', { CertId }), [404, /^NotFound/])

  emulator.cas.region = 'ap-southeast-1'
  const abroad = emulator.cas.add(other)
  t.match(await detail({ CertId: String(abroad.id) }), { CertIdentifier: `${abroad.id}-ap-southeast-1` })
})

t.test('permissions are on everything or on nothing', async (t) => {
  const emulator = await start(t)
  const action = 'yundun-cert:GetCertWarehouseQuota'
  emulator.addKey({ ...key, allow: [{ action, resource: 'acs:yundun-cert:*:*:*' }] })
  t.same(await tries(emulator, 'GetCertWarehouseQuota'), [200, undefined])
  emulator.addKey({ ...key, allow: [{ action, resource: 'acs:yundun-cert:*:*:certificate/1' }] })
  t.same(await tries(emulator, 'GetCertWarehouseQuota'), [403, 'Forbidden.RAM'])
  emulator.addKey({ ...key, allow: [{ action: 'cas:*', resource: '*' }] })
  t.same(await tries(emulator, 'GetCertWarehouseQuota'), [403, 'Forbidden.RAM'])
  const answer = await callPop(
    emulator.port,
    { product: 'cas', action: 'GetCertWarehouseQuota', host: 'cas.aliyuncs.com' },
    key,
  )
  t.match(answer.json, { HostId: 'cas.aliyuncs.com', AccessDeniedDetail: { AuthAction: action } })
})
