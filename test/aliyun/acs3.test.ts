import { readFileSync } from 'node:fs'
import t from 'tap'
import { signRpc } from '../../src/aliyun/acs3.js'
import { Secret } from '../../src/secret.js'

interface Vector {
  readonly id: string
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly authorization: string
}

const { vectors } = JSON.parse(readFileSync('test/fixtures/vectors/signing-vectors.json', 'utf8')) as {
  readonly vectors: readonly Vector[]
}
const vector = vectors.find(({ id }) => id === 'our-acs3-set-cdn-cert-form-body')
if (vector === undefined) throw new Error('the vector is gone')
const { headers, body, authorization } = vector

const request = {
  endpoint: new URL(`https://${headers['host']}`),
  action: headers['x-acs-action'] ?? '',
  version: headers['x-acs-version'] ?? '',
  body: Buffer.from(body),
}
const key = {
  accessKeyId: new Secret(vector.accessKeyId),
  accessKeySecret: new Secret(vector.accessKeySecret),
  securityToken: undefined,
}
const session = { ...key, securityToken: new Secret(headers['x-acs-security-token'] ?? '') }
const now = new Date(headers['x-acs-date'] ?? '')
const nonce = headers['x-acs-signature-nonce']

t.test('the vector', async (t) => {
  t.same(signRpc(request, session, now, nonce), { ...headers, accept: 'application/json', authorization })
  const late = new Date(now.getTime() + 999)
  t.equal(signRpc(request, session, late, nonce)['authorization'], authorization, 'fractions of a second are cut')
})

t.test('everything that is sent is signed', async (t) => {
  const signatures = [
    signRpc(request, session, now, nonce),
    signRpc({ ...request, body: Buffer.from(`${body}&X=1`) }, session, now, nonce),
    signRpc({ ...request, action: 'SetDcdnDomainSSLCertificate' }, session, now, nonce),
    signRpc({ ...request, version: '2018-01-15' }, session, now, nonce),
    signRpc({ ...request, endpoint: new URL('https://dcdn.aliyuncs.com') }, session, now, nonce),
    signRpc({ ...request, endpoint: new URL('https://cdn.aliyuncs.com:8443') }, session, now, nonce),
    signRpc(request, key, now, nonce),
    signRpc(request, session, new Date(now.getTime() + 1000), nonce),
    signRpc(request, session, now, `${nonce}0`),
    signRpc(request, { ...session, accessKeySecret: new Secret('another-secret') }, now, nonce),
  ].map((signed) => /Signature=([0-9a-f]{64})$/.exec(signed['authorization'] ?? '')?.[1])
  t.ok(signatures.every((one) => one !== undefined))
  t.equal(new Set(signatures).size, signatures.length)
})

t.test('without a session', async (t) => {
  const signed = signRpc(request, key, now, nonce)
  t.same(
    Object.keys(signed).filter((name) => /token|accesskey/.test(name)),
    [],
  )
  t.match(signed['authorization'], /SignedHeaders=content-type;host;x-acs-action;[^,]*x-acs-version,/)
})

t.test('each has a nonce of its own', async (t) => {
  const nonces = Array.from({ length: 100 }, () => signRpc(request, key, now)['x-acs-signature-nonce'])
  t.equal(new Set(nonces).size, 100)
})
