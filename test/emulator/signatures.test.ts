import { readFileSync } from 'node:fs'
import t from 'tap'
import { startEmulator } from './emulator.js'
import { canonicalResource, signatureV1, stringToSignV1 } from './oss/signature-v1.js'
import { canonicalRequestV4, signatureV4, signingKeyV4, stringToSignV4 } from './oss/signature-v4.js'
import type { SignedRequest } from './oss/signed-request.js'
import { type Parameter, parseParameters, percentEncode, percentEncodePath } from './percent-encoding.js'
import { type RawAnswer, type RawRequest, sendRaw } from './send-raw.js'

interface Vector {
  readonly id: string
  readonly scheme: string
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly securityToken?: string | null
  readonly method: string
  readonly url?: string
  readonly bucket?: string
  readonly key?: string
  readonly region?: string
  readonly product?: string
  readonly rawQueryOnWire?: string
  readonly queryParams?: Readonly<Record<string, string>>
  readonly queryAdded?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly additionalHeaders?: readonly string[]
  readonly unixTime?: number
  readonly expires?: number
  readonly expiresSeconds?: number
  readonly canonicalResource?: string
  readonly canonicalRequest?: string
  readonly stringToSign: string
  readonly signingKeyHex?: string
  readonly signature: string
  readonly authorization?: string
  readonly body?: string
}

const file = readFileSync('test/fixtures/vectors/signing-vectors.json', 'utf8')
const vectors = (JSON.parse(file) as { readonly vectors: readonly Vector[] }).vectors
const ossVectors = vectors.filter(({ scheme }) => scheme.startsWith('oss-'))

/** A vector as a client would send it. */
interface Sent extends RawRequest {
  readonly method: string
  readonly bucket: string
  readonly key: string
  /** `name` or `name=value`, percent-encoded. */
  readonly query: readonly string[]
  readonly headers: Readonly<Record<string, string>>
}

const isV4 = (vector: Vector): boolean => vector.scheme.startsWith('oss-v4')
const isUrl = (vector: Vector): boolean => vector.scheme.endsWith('-query')

const placeOf = (vector: Vector): { readonly bucket: string; readonly key: string } => {
  if (vector.key !== undefined) return { bucket: vector.bucket ?? '', key: vector.key }
  const [, bucket = '', key = ''] = /^\/([^/]+)\/([^?]*)/.exec(vector.canonicalResource ?? '') ?? []
  return { bucket, key }
}

const compactTime = (vector: Vector): string =>
  new Date((vector.unixTime ?? 0) * 1000).toISOString().replace(/\.\d+|[-:]/g, '')

const scopeOf = (vector: Vector) => ({
  date: compactTime(vector).slice(0, 8),
  region: vector.region ?? '',
  product: vector.product ?? '',
})

/** What a version 4 URL carries besides the query that was signed. */
const v4UrlParameters = (vector: Vector): readonly Parameter[] => {
  const { date, region, product } = scopeOf(vector)
  const additional = vector.additionalHeaders?.join(';') ?? ''
  return [
    ['x-oss-signature-version', 'OSS4-HMAC-SHA256'],
    ['x-oss-credential', `${vector.accessKeyId}/${date}/${region}/${product}/aliyun_v4_request`],
    ['x-oss-date', compactTime(vector)],
    ['x-oss-expires', String(vector.expiresSeconds)],
    ...(additional === '' ? [] : [['x-oss-additional-headers', additional] as const]),
    ...(vector.securityToken ? [['x-oss-security-token', vector.securityToken] as const] : []),
    ['x-oss-signature', vector.signature],
  ]
}

const written = (parameters: readonly Parameter[]): readonly string[] =>
  parameters.map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`)

const queryOf = (vector: Vector): readonly string[] => {
  const raw = vector.queryParams
    ? Object.entries(vector.queryParams).map(([name, value]) => `${name}=${percentEncode(value)}`)
    : (vector.rawQueryOnWire ?? new URL(vector.url ?? '').search.slice(1)).split('&').filter((part) => part !== '')
  if (!isUrl(vector)) return raw
  return [...raw, ...written(isV4(vector) ? v4UrlParameters(vector) : Object.entries(vector.queryAdded ?? {}))]
}

const sentBy = (vector: Vector): Sent => {
  const { bucket, key } = placeOf(vector)
  const cloudBox = vector.product === 'oss-cloudbox'
  return {
    method: vector.method,
    host: cloudBox ? `${bucket}.${vector.region}.oss-cloudbox.example` : `${bucket}.oss-cn-hangzhou.aliyuncs.com`,
    bucket,
    key,
    target: '',
    query: queryOf(vector),
    headers: {
      ...vector.headers,
      ...(vector.authorization === undefined ? {} : { Authorization: vector.authorization }),
    },
    body: vector.method === 'GET' ? undefined : (vector.body ?? ''),
  }
}

const signedPartsOf = ({ method, bucket, key, query, headers }: Sent): SignedRequest => ({
  method,
  bucket,
  key,
  parameters: parseParameters(query.join('&')),
  headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
})

t.test('the vendor vectors and ours are all there', async (t) => {
  const count = (prefix: string): number => ossVectors.filter(({ id }) => id.startsWith(prefix)).length
  t.match([count('oss-v1-'), count('oss-v4-'), count('our-')], [6, 7, 7])
})

t.test('each vector, computed', async (t) => {
  for (const vector of ossVectors) {
    const parts = signedPartsOf(sentBy(vector))
    t.test(vector.id, async (t) => {
      if (!isV4(vector)) {
        const date = String(vector.expires ?? parts.headers['x-oss-date'])
        t.equal(canonicalResource(parts), vector.canonicalResource)
        t.equal(stringToSignV1(parts, date), vector.stringToSign)
        t.equal(signatureV1(vector.accessKeySecret, stringToSignV1(parts, date)), vector.signature)
        return
      }
      const scope = scopeOf(vector)
      const canonical = canonicalRequestV4(parts, vector.additionalHeaders ?? [], 'UNSIGNED-PAYLOAD')
      t.equal(canonical, vector.canonicalRequest)
      t.equal(stringToSignV4(compactTime(vector), scope, canonical), vector.stringToSign)
      if (vector.signingKeyHex !== undefined)
        t.equal(signingKeyV4(vector.accessKeySecret, scope).toString('hex'), vector.signingKeyHex)
      t.equal(signatureV4(vector.accessKeySecret, scope, vector.stringToSign), vector.signature)
    })
  }
})

/** A cloud that knows the vector's key and bucket, at the vector's time. */
const cloudFor = async (vector: Vector) => {
  const { bucket } = placeOf(vector)
  const signed = vector.unixTime ?? (vector.expires ?? 0) - 60
  const stamp = vector.headers?.['x-oss-date']
  const time = isV4(vector) || isUrl(vector) ? new Date(signed * 1000) : new Date(stamp ?? 0)
  const emulator = await startEmulator({ now: () => time })
  emulator.addBucket(bucket, { region: vector.region })
  emulator.addBucket('another-bucket', { region: vector.region })
  const token = vector.securityToken ? { token: vector.securityToken } : {}
  const key = { id: vector.accessKeyId, secret: vector.accessKeySecret, ...token }
  emulator.addKey({ ...key, allow: [{ action: 'oss:*', resource: '*' }] })
  const send = (sent: Sent): Promise<RawAnswer> => {
    const query = sent.query.length === 0 ? '' : `?${sent.query.join('&')}`
    return sendRaw(emulator.port, { ...sent, target: `/${percentEncodePath(sent.key)}${query}` })
  }
  return { emulator, send }
}

/** What a request can only meet after its signature was found good. */
const behindTheCheck = [undefined, 'InvalidDigest', 'NeedVerifyDomainOwnership', 'NoSuchKey', 'NotImplemented']

/** Another character of the same kind, so that a date stays a date of the same hour. */
const bent = (text: string): string => {
  const digit = text.search(/\d\D*$/)
  const at = digit < 0 ? text.length - 3 : digit
  const swapped: Readonly<Record<string, string>> = { 1: '2', a: 'b' }
  const other = swapped[text[at] ?? ''] ?? (digit < 0 ? 'a' : '1')
  return `${text.slice(0, at)}${other}${text.slice(at + 1)}`
}

const isSignedHeader = (vector: Vector, name: string): boolean => {
  const lower = name.toLowerCase()
  return lower.startsWith('content-') || lower.startsWith('x-oss-') || !!vector.additionalHeaders?.includes(lower)
}

/** Parameters of a vector that version 1 does not look at. */
const unsignedInV1 = ['non-resousce']

/** The request with one signed thing changed, for every signed thing. */
const forgeries = (vector: Vector, sent: Sent): ReadonlyMap<string, Sent> => {
  const forged = new Map<string, Sent>()
  forged.set('method', { ...sent, method: 'DELETE' })
  forged.set('bucket', { ...sent, host: sent.host.replace(sent.bucket, 'another-bucket') })
  forged.set('key', { ...sent, key: sent.key === '' ? 'x' : bent(sent.key) })
  forged.set('a header more', { ...sent, headers: { ...sent.headers, 'x-oss-meta-more': '1' } })
  forged.set('a parameter more', { ...sent, query: [...sent.query, 'response-expires=1'] })
  for (const name of Object.keys(sent.headers).filter((name) => isSignedHeader(vector, name))) {
    const { [name]: value = '', ...others } = sent.headers
    forged.set(`header ${name}`, { ...sent, headers: { ...sent.headers, [name]: bent(value) } })
    forged.set(`header ${name} left out`, { ...sent, headers: others })
  }
  sent.query.forEach((part, i) => {
    const [name = '', value = ''] = part.split('=')
    if (!isV4(vector) && unsignedInV1.includes(name)) return
    const changed = value === '' ? `${name}=1` : `${name}=${bent(value)}`
    forged.set(`parameter ${name}`, { ...sent, query: sent.query.with(i, changed) })
    forged.set(`parameter ${name} left out`, { ...sent, query: sent.query.toSpliced(i, 1) })
  })
  const authorization = vector.authorization ?? ''
  for (const part of authorization.split(/[ ,/;:]/).filter((part) => part.length >= 3))
    forged.set(`authorization ${part}`, {
      ...sent,
      headers: { ...sent.headers, Authorization: authorization.replace(part, bent(part)) },
    })
  return forged
}

const refusals = [
  'AccessDenied',
  'InvalidAccessKeyId',
  'InvalidArgument',
  'InvalidSecurityToken',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
]

t.test('each vector, over the wire', async (t) => {
  for (const vector of ossVectors)
    t.test(vector.id, async (t) => {
      const { emulator, send } = await cloudFor(vector)
      t.teardown(() => emulator.close())
      const sent = sentBy(vector)

      const answer = await send(sent)
      t.ok(behindTheCheck.includes(answer.code), `verified (${answer.status} ${answer.code})`)
      t.equal(emulator.requests[0]?.accessKeyId, vector.accessKeyId)

      const bare = await send({ ...sent, query: sent.query.map((part) => part.replace(/=$/, '')) })
      t.equal(bare.code, answer.code, 'an empty parameter needs no equals sign')
      const unsigned = { ...sent, headers: { ...sent.headers, 'User-Agent': 'somebody' } }
      t.equal((await send(unsigned)).code, answer.code, 'an unsigned header may be anything')

      let mismatches = 0
      for (const [what, forgery] of forgeries(vector, sent)) {
        const { code = '', status } = await send(forgery)
        t.ok(refusals.includes(code) && (status === 403 || status === 400), `${what} is signed (${status} ${code})`)
        if (code === 'SignatureDoesNotMatch') mismatches += 1
      }
      t.ok(mismatches >= 5, `${mismatches} changes were seen by the signature itself`)
    })
})

t.test('a mismatch shows what the server signed', async (t) => {
  for (const id of ['oss-v1-put-object', 'oss-v4-basic']) {
    const vector = ossVectors.find((vector) => vector.id === id) as Vector
    const { emulator, send } = await cloudFor(vector)
    t.teardown(() => emulator.close())
    const { body } = await send({ ...sentBy(vector), method: 'POST' })
    const seen = vector.stringToSign.replace(/^PUT/, 'POST')
    t.match(body, '<OSSAccessKeyId>ak</OSSAccessKeyId>')
    t.match(body, `<SignatureProvided>${vector.signature}</SignatureProvided>`)
    if (isV4(vector)) t.match(body, vector.canonicalRequest?.replace(/^PUT/, 'POST').replaceAll('&', '&amp;'))
    else t.match(body, `<StringToSign>${seen}</StringToSign>\n`.trim())
    t.match(body, isV4(vector) ? '<StringToSignBytes>4F 53 53 34 ' : '<StringToSignBytes>50 4F 53 54 0A ')
  }
})
