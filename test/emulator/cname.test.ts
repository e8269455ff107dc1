import t, { type Test } from 'tap'
import { type Material, mintMaterial } from '../deploy-world.js'
import { keyPem } from '../mint.js'
import type { AccessKey } from './access-key.js'
import { type Emulator, startEmulator } from './emulator.js'
import type { BucketOptions } from './oss/bucket.js'
import type { Statement } from './permissions.js'
import { readXml } from './read-xml.js'
import { type RawAnswer, sendRaw, xmlText } from './send-raw.js'
import { type SignedRawRequest, sendSigned } from './send-signed.js'

const bucket = 'my-ssl-certs'
const host = 'static.example.com'
const everything: readonly Statement[] = [{ action: '*', resource: '*' }]
const key: AccessKey = { id: 'LTAI-tester', secret: 'not-a-secret', allow: everything }

const start = async (t: Test, options: BucketOptions = {}): Promise<Emulator> => {
  const emulator = await startEmulator()
  t.teardown(() => emulator.close())
  emulator.addBucket(bucket, options)
  emulator.addKey(key)
  return emulator
}

const material = await mintMaterial({ names: [host] })
const next = await mintMaterial({ names: ['*.example.com'] })

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

const configuration = (elements: Readonly<Record<string, string>>): string =>
  Object.entries(elements)
    .map(([name, text]) => `<${name}>${escaped(text)}</${name}>`)
    .join('')

const cnameDocument = (domain: string, certificate?: Readonly<Record<string, string>>): string => {
  const inner = certificate ? `<CertificateConfiguration>${configuration(certificate)}</CertificateConfiguration>` : ''
  return `<?xml version="1.0" encoding="UTF-8"?>
<BucketCnameConfiguration><Cname><Domain>${domain}</Domain>${inner}</Cname></BucketCnameConfiguration>`
}

const send = (emulator: Emulator, request: Partial<SignedRawRequest>, by = key, to = bucket): Promise<RawAnswer> =>
  sendSigned(emulator.port, to, { target: '/?cname', ...request }, by)

const post = (emulator: Emulator, comp: string, body: string, by = key, to = bucket): Promise<RawAnswer> =>
  send(emulator, { method: 'POST', target: `/?cname&comp=${comp}`, body }, by, to)

const put = (emulator: Emulator, certificate?: Readonly<Record<string, string>>, domain = host, by = key) =>
  post(emulator, 'add', cnameDocument(domain, certificate), by)

const pem = ({ fullchain, key }: Material) => ({ Certificate: fullchain, PrivateKey: key })

const refused = ({ status, code, headers }: RawAnswer): readonly unknown[] => [status, code, headers['x-oss-ec']]

const unverified = [403, 'NeedVerifyDomainOwnership', '0018-00000115']

t.test('the reader of XML', async (t) => {
  t.match(readXml('<?xml version="1.0"?>\n<A x="1"><B>1 &amp; &#x41;&#66;</B>\n<C/></A>'), {
    name: 'A',
    children: [
      { name: 'B', text: '1 & AB' },
      { name: 'C', text: '' },
    ],
  })
  const bad = [
    '',
    'A',
    '<A>',
    '<A></B>',
    '<A></A><B/>',
    '<A>&x;</A>',
    '<A>&amp</A>',
    '</A>',
    '<A/>x',
    '<A><!-- --></A>',
  ]
  for (const text of [...bad, '<!DOCTYPE A [<!ENTITY x "y">]><A>&x;</A>', '<A><![CDATA[x]]></A>', '<A><?php ?></A>'])
    t.equal(readXml(text), undefined, text)
})

t.test('who owns a domain may bind it', async (t) => {
  const emulator = await start(t)
  t.same(refused(await put(emulator)), unverified, 'no token')
  t.match(await send(emulator, { target: `/?comp=token&cname=${host}` }), { status: 404, code: 'NoSuchCname' })
  const created = await post(emulator, 'token', cnameDocument(host))
  t.equal(created.status, 200)
  t.equal(xmlText('Bucket', created.body), bucket)
  t.equal(xmlText('Cname', created.body), host)
  const token = xmlText('Token', created.body) ?? ''
  const life = new Date(xmlText('ExpireTime', created.body) ?? '').getTime() - Date.now()
  t.ok(life > 71.9 * 3_600_000 && life < 72.1 * 3_600_000, 'good for three days')
  t.equal(xmlText('Token', (await post(emulator, 'token', cnameDocument(host))).body), token, 'the same one again')
  t.equal(xmlText('Token', (await send(emulator, { target: `/?comp=token&cname=${host}` })).body), token)
  t.match(emulator.requests.at(-1), { action: 'oss:GetCnameToken', bucket })

  t.same(refused(await put(emulator)), unverified, 'not in DNS')
  emulator.publishTxt(`_dnsauth.${host}`, 'something else')
  emulator.publishTxt('_dnsauth.example.com', token)
  t.same(refused(await put(emulator)), unverified, 'not there')
  emulator.publishTxt(`_dnsauth.${host}.`, token)
  emulator.addBucket('another-bucket')
  t.same(refused(await post(emulator, 'add', cnameDocument(host), key, 'another-bucket')), unverified, 'for whom it is')
  t.match(await put(emulator), { status: 200, body: '' })
  t.match(emulator.cname(host.toUpperCase()), { bucket, certificate: undefined })
  t.equal((await post(emulator, 'add', cnameDocument(host), key, 'another-bucket')).code, 'CnameAlreadyExists')
  t.equal((await sendRaw(emulator.port, { host, target: '/' })).code, 'NotImplemented', 'it leads to the bucket now')
})

t.test('a token runs out', async (t) => {
  let now = Date.now()
  const emulator = await startEmulator({ now: () => new Date(now) })
  t.teardown(() => emulator.close())
  emulator.addBucket(bucket)
  emulator.addKey(key)
  const at = (comp: string, method = 'POST') => {
    const target = method === 'GET' ? `/?comp=${comp}&cname=${host}` : `/?cname&comp=${comp}`
    const body = method === 'GET' ? undefined : cnameDocument(host)
    return send(emulator, { method, target, body, time: new Date(now) })
  }
  const tokenOf = async (answer: Promise<RawAnswer>) => xmlText('Token', (await answer).body) ?? ''
  const token = await tokenOf(at('token'))
  emulator.publishTxt(`_dnsauth.${host}`, token)
  now += 72 * 3_600_000 - 1000
  t.equal(await tokenOf(at('token')), token)
  now += 1000
  t.equal((await at('token', 'GET')).code, 'NoSuchCname')
  t.same(refused(await at('add')), unverified, 'whatever stands in DNS')
  const fresh = await tokenOf(at('token'))
  t.match(fresh, /^[0-9a-f]{32}$/)
  t.not(fresh, token)
  emulator.publishTxt(`_dnsauth.${host}`, fresh)
  t.equal((await at('add')).status, 200, 'beside the old one')
})

t.test('what cannot be bound', async (t) => {
  const emulator = await start(t)
  const on = async (domain: string) => refused(await put(emulator, undefined, domain))
  t.same(await on('*.example.com'), [400, 'InvalidArgument', undefined], 'a wildcard')
  t.same(await on('a.b'), [400, 'InvalidArgument', '0017-00000249'])
  for (const domain of ['x.aliyuncs.com', 'aliyun.com', 'x.aliyun-inc.com', 'x.taobaocdn.com', 'x.taobao.com'])
    t.same(await on(domain), [400, 'InvalidArgument', '0018-00000401'], domain)
  for (const domain of ['example', 'a..example.com', 'https://example.com', 'example.com.', 'ex ample.com'])
    t.same(await on(domain), [400, 'InvalidArgument', undefined], domain)
  emulator.withoutFiling(host)
  t.match(await put(emulator), { status: 404, code: 'NoSuchCnameInRecord' })
  emulator.addBucket('another-bucket')
  emulator.bindCname(host, 'another-bucket', { certificate: material })
  const taken = await put(emulator, { ...pem(material), Force: 'true' })
  t.match(taken, { status: 409, code: 'CnameAlreadyExists', body: '<CnameType>CNAME_OSS</CnameType>' })
  t.equal(emulator.cname(host)?.bucket, 'another-bucket')
})

t.test('bad documents', async (t) => {
  const emulator = await start(t)
  emulator.bindCname(host, bucket)
  const good = cnameDocument(host, { ...pem(material), Force: 'true' })
  const malformed = [
    '',
    'x',
    good.replace('<Force>true</Force>', '<Force>yes</Force>'),
    good.replace('<Force>', '<Forse>').replace('</Force>', '</Forse>'),
    good.replace('<Cname>', '<Cname><Extra>1</Extra>'),
    good.replace('<Domain>', '<Domain>x.example.com</Domain><Domain>'),
    good.replace(/<Domain>.*<\/Domain>/, ''),
    good.replaceAll('BucketCnameConfiguration', 'CnameConfiguration'),
    good.replace('?>', '?><!DOCTYPE x [<!ENTITY a "b">]>'),
    good.slice(0, -5),
    cnameDocument(host, {}),
    cnameDocument(host, { Force: 'true' }),
    cnameDocument(host, { DeleteCertificate: 'true', Force: 'true' }),
    cnameDocument(host, { DeleteCertificate: 'true', ...pem(material) }),
  ]
  for (const body of malformed)
    t.same(refused(await post(emulator, 'add', body)), [400, 'MalformedXML', '0031-00000001'], body.slice(39, 120))
  const digest = { 'Content-MD5': Buffer.alloc(16).toString('base64') }
  const wrong = await send(emulator, { method: 'POST', target: '/?cname&comp=add', body: good, headers: digest })
  t.match(wrong, { status: 400, code: 'InvalidDigest' })
  t.equal(emulator.cname(host)?.certificate, undefined, 'nothing came of any')
  t.equal((await post(emulator, 'add', good)).status, 200, 'while the good one is good')
})

t.test('a certificate that is brought along', async (t) => {
  const emulator = await start(t)
  emulator.bindCname(host, bucket)
  const answer = await put(emulator, { ...pem(material), Force: 'true' })
  t.match(answer, { status: 200, body: '' })
  const bound = emulator.cname(host)?.certificate
  t.match(bound, { type: 'Upload', certId: /^\d+-cn-hangzhou$/, fullchain: material.fullchain })
  t.equal(bound?.sha256, material.x509.fingerprint256.replaceAll(':', '').toLowerCase())
  t.equal(answer.headers['x-oss-yundun-certificate-id'], bound?.certId)
  t.match(emulator.cas.certificates, [{ identifier: bound?.certId, fullchain: material.fullchain, key: material.key }])

  for (const form of ['sec1', 'pkcs8'] as const) {
    const key = keyPem(next.privateKey, form)
    t.equal((await put(emulator, { Certificate: next.fullchain, PrivateKey: key, Force: 'true' })).status, 200, form)
  }
  t.equal(emulator.cname(host)?.certificate?.fullchain, next.fullchain, 'a wildcard certificate on an exact name')
  const rsa = await mintMaterial({ names: [host], key: 'rsa2048' })
  const traditional = keyPem(rsa.privateKey, 'pkcs1')
  t.equal((await put(emulator, { Certificate: rsa.leaf, PrivateKey: traditional, Force: 'true' })).status, 200, 'pkcs1')

  const before = emulator.cname(host)?.certificate?.certId
  const bad = async (certificate: Readonly<Record<string, string>>) => {
    const { status, code } = await put(emulator, { ...certificate, Force: 'true' })
    t.equal(emulator.cname(host)?.certificate?.certId, before, 'the old one stays')
    return [status, code]
  }
  const expired = await mintMaterial({ names: [host], notAfter: new Date(Date.now() - 60_000) })
  const elsewhere = await mintMaterial({ names: ['example.com', '*.b.example.com', '*.static.example.com'] })
  t.same(await bad({ Certificate: 'x', PrivateKey: next.key }), [400, 'CertificateInvalid'])
  t.same(await bad({ Certificate: `${next.fullchain}x`, PrivateKey: next.key }), [400, 'CertificateInvalid'])
  t.same(await bad({ PrivateKey: next.key }), [400, 'CertificateInvalid'], 'no certificate')
  t.same(await bad({ Certificate: next.fullchain }), [400, 'PrivateKeyInvalid'], 'no key')
  const locked = keyPem(next.privateKey, 'pkcs8-encrypted')
  t.same(await bad({ Certificate: next.fullchain, PrivateKey: locked }), [400, 'PrivateKeyInvalid'], 'encrypted')
  t.same(await bad({ ...pem(next), PrivateKey: material.key }), [400, 'CertificateKeyMismatch'])
  t.same(await bad(pem(expired)), [400, 'CertificateExpired'])
  t.same(await bad(pem(elsewhere)), [400, 'CertificateDomainMismatch'])
  emulator.bindCname('deep.static.example.com', bucket)
  const deep = await put(emulator, { ...pem(next), Force: 'true' }, 'deep.static.example.com')
  t.match(deep, { status: 400, code: 'CertificateDomainMismatch' }, 'a wildcard is one label')
})

t.test('a certificate of the certificate service', async (t) => {
  const emulator = await start(t)
  emulator.bindCname(host, bucket)
  const { id, identifier } = emulator.cas.add({ ...material, name: 'mine' })
  const invalid = async (CertId: string) => refused(await put(emulator, { CertId, Force: 'true' }))
  t.same(await invalid(`${id}-cas.aliyuncs.com`), [400, 'CertificateInvalidCasId', '0018-00000204'])
  t.same(await invalid(String(id)), [400, 'CertificateInvalidCasId', '0018-00000204'])
  t.same(await invalid(`${id + 1}-cn-hangzhou`), [400, 'CertificateInvalidCasId', '0018-00000204'])
  t.same(await invalid('1'.repeat(64)), [400, 'CertificateInvalidCasId', '0018-00000206'])
  t.equal((await put(emulator, { CertId: identifier, Force: 'true' })).status, 200)
  t.match(emulator.cname(host)?.certificate, { type: 'CAS', certId: identifier, fullchain: material.fullchain })
  t.equal((await put(emulator, { CertId: identifier, ...pem(material), Force: 'true' })).status, 200, 'and both')
  t.equal(emulator.cas.certificates.length, 1)

  emulator.cas.region = 'ap-southeast-1'
  const abroad = emulator.cas.add(next)
  t.match(abroad.identifier, /^\d+-ap-southeast-1$/)
  t.equal((await put(emulator, { CertId: abroad.identifier, Force: 'true' })).status, 200)
})

t.test('what is replaced must be known, or forced', async (t) => {
  const emulator = await start(t)
  emulator.bindCname(host, bucket)
  const conflict = [409, 'CasRenewCertificateConflict', '0018-00000209']
  t.same(refused(await put(emulator, pem(material))), conflict, 'without a previous one it takes force')
  t.same(refused(await put(emulator, { ...pem(material), Force: 'false' })), conflict)
  t.same(refused(await put(emulator, { ...pem(material), PreviousCertId: '1-cn-hangzhou' })), conflict)
  t.equal((await put(emulator, { ...pem(material), Force: 'true' })).status, 200)
  const previous = emulator.cname(host)?.certificate?.certId ?? ''
  t.same(refused(await put(emulator, { ...pem(next), PreviousCertId: '1-cn-hangzhou' })), conflict)
  t.same(refused(await put(emulator, { ...pem(next), PreviousCertId: '1-cn-hangzhou', Force: 'false' })), conflict)
  t.equal(emulator.cname(host)?.certificate?.certId, previous)
  t.equal(emulator.cas.certificates.length, 1, 'what is refused is not kept')
  t.equal((await put(emulator, { ...pem(next), PreviousCertId: previous, Force: 'false' })).status, 200)
  t.equal(emulator.cname(host)?.certificate?.fullchain, next.fullchain)
  t.equal((await put(emulator, { ...pem(material), PreviousCertId: 'x', Force: 'true' })).status, 200, 'force wins')
})

t.test('a list, and unbinding', async (t) => {
  const emulator = await start(t)
  const list = async () => (await send(emulator, {})).body
  t.match(await list(), `<ListCnameResult><Bucket>${bucket}</Bucket><Owner>1000000000000000</Owner></ListCnameResult>`)
  emulator.bindCname('www.example.com', bucket)
  emulator.bindCname(host, bucket, { certificate: { ...material, certId: '77-cn-hangzhou' } })
  emulator.addBucket('another-bucket')
  emulator.bindCname('other.example.com', 'another-bucket')
  const [, first = '', second = ''] = (await list()).split('<Cname>')
  t.equal(xmlText('Domain', first), host)
  t.equal(xmlText('Status', first), 'Enabled')
  t.match(xmlText('LastModified', first), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  const [, certificate = ''] = first.split('<Certificate>')
  t.equal(xmlText('Type', certificate), 'CAS')
  t.equal(xmlText('CertId', certificate), '77-cn-hangzhou')
  t.equal(xmlText('Fingerprint', certificate), material.x509.fingerprint)
  emulator.listFingerprints(({ fingerprint512 }) => fingerprint512)
  t.equal(
    xmlText('Fingerprint', await list()),
    material.x509.fingerprint512,
    'of another algorithm, where that is told',
  )
  t.equal(xmlText('ValidStartDate', certificate), material.notBefore.toUTCString())
  t.equal(xmlText('ValidEndDate', certificate), material.notAfter.toUTCString())
  t.match(xmlText('CreationDate', certificate), / GMT$/)
  t.equal(xmlText('Domain', second), 'www.example.com')
  t.notMatch(second, /<Certificate>|other\.example\.com/)

  t.equal((await put(emulator, { DeleteCertificate: 'true' })).status, 200)
  t.match(emulator.cname(host), { bucket, certificate: undefined }, 'the name stays bound')
  t.match(await post(emulator, 'delete', cnameDocument(host)), { status: 200, body: '' })
  t.equal(emulator.cname(host), undefined)
  t.equal((await post(emulator, 'delete', cnameDocument(host))).status, 200, 'also when it is gone')
  t.equal((await post(emulator, 'delete', cnameDocument('other.example.com'))).status, 200)
  t.equal(emulator.cname('other.example.com')?.bucket, 'another-bucket', 'of another bucket nothing is taken')
  t.same(refused(await put(emulator)), unverified, 'and to come back takes a proof')
  t.equal((await sendRaw(emulator.port, { host, target: '/x' })).code, 'NonStandardHostForbidden')
})

t.test('permissions', async (t) => {
  const emulator = await start(t)
  emulator.bindCname(host, bucket)
  const by = (allow: readonly Statement[]): AccessKey => {
    const limited = { ...key, id: 'LTAI-limited', allow }
    emulator.addKey(limited)
    return limited
  }
  const calls: readonly (readonly [string, (by: AccessKey) => Promise<RawAnswer>])[] = [
    ['oss:CreateCnameToken', (by) => post(emulator, 'token', cnameDocument(host), by)],
    ['oss:GetCnameToken', (by) => send(emulator, { target: `/?comp=token&cname=${host}` }, by)],
    ['oss:PutCname', (by) => put(emulator, undefined, host, by)],
    ['oss:ListCname', (by) => send(emulator, {}, by)],
    ['oss:DeleteCname', (by) => post(emulator, 'delete', cnameDocument('x.example.com'), by)],
  ]
  for (const [action, call] of calls) {
    const resource = `acs:oss:*:*:${bucket}`
    t.equal((await call(by([{ action, resource }]))).status, 200, action)
    t.match(await call(by([{ action: 'oss:Get*Info', resource }])), { status: 403, code: 'AccessDenied' })
    t.match(await call(by([{ action, resource: `${resource}/*` }])), { status: 403 }, 'objects are something else')
    t.equal(emulator.requests.at(-1)?.action, action)
  }

  const names = ['DescribeSSLCertificatePrivateKey', 'DescribeSSLCertificatePublicKeyDetail', 'CreateSSLCertificate']
  const actions = names.map((name) => `yundun-cert:${name}`)
  const onBucket = { action: 'oss:PutCname', resource: bucket }
  const bind = (allow: readonly Statement[]) => put(emulator, { ...pem(material), Force: 'true' }, host, by(allow))
  for (const lacking of actions) {
    const action = actions.filter((one) => one !== lacking)
    const { status, code, body } = await bind([onBucket, { action, resource: '*' }])
    t.same([status, code, xmlText('AuthAction', body)], [403, 'AccessDenied', lacking])
  }
  t.equal((await bind([onBucket, { action: actions, resource: bucket }])).status, 403, 'on * alone')
  t.equal((await bind([onBucket, { action: actions, resource: '*' }])).status, 200)
  const off = await put(emulator, { DeleteCertificate: 'true' }, host, by([onBucket]))
  t.equal(off.status, 200, 'taking a certificate away shows none')
})

t.test('bindings go to the endpoint of the region', async (t) => {
  const emulator = await start(t, { publicEndpointForbidden: true })
  emulator.bindCname(host, bucket)
  t.equal((await send(emulator, {})).status, 200, 'where an account of today may not move data')
  t.equal((await send(emulator, { target: '/?list-type=2' })).code, 'PublicEndpointForbidden')
  t.match(await send(emulator, { host }), { status: 403, code: 'NonStandardHostForbidden' })
  t.equal((await send(emulator, { target: '/?list-type=2', host })).status, 200)
  emulator.fail({ action: 'oss:PutCname', bucket }, { status: 503, code: 'MetaOperationQpsLimitExceeded' })
  t.match(await put(emulator), { status: 503, code: 'MetaOperationQpsLimitExceeded', body: /Qps limit/ })
})
