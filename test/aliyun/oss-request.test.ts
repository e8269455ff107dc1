import { readFileSync } from 'node:fs'
import t from 'tap'
import { ossEndpoint } from '../../src/aliyun/endpoint.js'
import { signRequest } from '../../src/aliyun/oss-request.js'
import { Secret } from '../../src/secret.js'

interface Vector {
  readonly id: string
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly securityToken: string | null
  readonly region: string
  readonly bucket: string
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  readonly unixTime: number
  readonly authorization: string
}

const { vectors } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/vectors/signing-vectors.json', import.meta.url), 'utf8'),
) as { readonly vectors: readonly Vector[] }

const vector = (id: string): Vector => {
  const found = vectors.find((one) => one.id === id)
  if (found === undefined) throw new Error(`there is no vector ${id}`)
  return found
}

const credentialsOf = ({ accessKeyId, accessKeySecret, securityToken }: Vector) => ({
  accessKeyId: new Secret(accessKeyId),
  accessKeySecret: new Secret(accessKeySecret),
  securityToken: securityToken === null ? undefined : new Secret(securityToken),
})

t.test('the signatures of the vectors', async (t) => {
  const put = vector('our-v4-put-fullchain')
  const signed = await signRequest(
    { method: 'PUT', key: put.key, headers: put.headers },
    put.bucket,
    ossEndpoint({ bucket: put.bucket, region: put.region }),
    credentialsOf(put),
    new Date(put.unixTime * 1000),
  )
  t.equal(signed.headers['authorization'], put.authorization)
  t.equal(signed.url, 'https://my-bucket.oss-cn-hangzhou.aliyuncs.com/certs/2026-09-21_0a1b2c3d/fullchain.pem')

  const list = vector('our-v4-list-cname-sts')
  const { url, headers } = await signRequest(
    { method: 'GET', query: { cname: null } },
    list.bucket,
    ossEndpoint({ bucket: list.bucket, region: list.region }),
    credentialsOf(list),
    new Date(list.unixTime * 1000),
  )
  t.equal(headers['authorization'], list.authorization)
  t.equal(url, 'https://my-bucket.oss-cn-hangzhou.aliyuncs.com/?cname')
  t.equal(headers['x-oss-security-token'], list.securityToken)
})

t.test('what goes over the wire', async (t) => {
  const body = Buffer.from('hello world')
  const { url, headers } = await signRequest(
    { method: 'PUT', key: "a b/例え/+%~!'()*?#&=/é", headers: { 'Content-Type': 'text/plain' }, body },
    'my-bucket',
    ossEndpoint({ bucket: 'my-bucket', region: 'cn-hangzhou', endpoint: 'https://10.0.0.1:8443' }),
    {
      accessKeyId: new Secret('LTAIexample'),
      accessKeySecret: new Secret('secret-of-example'),
      securityToken: undefined,
    },
    new Date('2030-01-02T03:04:05.678Z'),
  )
  t.equal(
    url,
    'https://10.0.0.1:8443/a%20b/%E4%BE%8B%E3%81%88/%2B%25~%21%27%28%29%2A%3F%23%26%3D/%C3%A9',
    'what RFC 3986 calls unreserved stays, and slashes',
  )
  t.match(headers, {
    host: 'my-bucket.oss-cn-hangzhou.aliyuncs.com',
    'Content-Type': 'text/plain',
    'content-md5': 'XrY7u+Ae7tCTyyK7j1rNww==',
    'x-oss-date': '20300102T030405Z',
    'x-oss-content-sha256': 'UNSIGNED-PAYLOAD',
    authorization:
      /^OSS4-HMAC-SHA256 Credential=LTAIexample\/20300102\/cn-hangzhou\/oss\/aliyun_v4_request,Signature=[0-9a-f]{64}$/,
  })
  t.notOk('x-oss-security-token' in headers)
  t.notOk(url.includes('LTAI'), 'nothing of the credentials is in the URL')
})
